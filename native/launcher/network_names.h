// Keeps the names of the other containers on the same networks in the container's /etc/hosts (hosts(5)), as they start
// and end. Each network has a folder on the host in which each of its containers has a file with its lines. The folders
// are the host's own and are trusted. The file is in the container's hands: it may write what it likes there, which
// stays, and no name that it has outside of the launcher's lines is given twice.
#pragma once

#include "../shared/fd.h"
#include "../shared/list.h"
#include "poller.h"
#include "timer.h"

namespace boxctl {

class NetworkNames {
 public:
  // Follows a folder, and writes what it has now. Both descriptors are copied. `own`: the container's own file in the
  // folder. Returns 0 or -errno.
  long follow(int folder, int hosts, const char* own);
  void add_sources(Poller& poller);

 private:
  void on_change(short happened);
  void on_time(short happened);
  long update();
  long collect(const Fd& folder);

  static constexpr size_t kMostFolders = 64;
  Fd folders_[kMostFolders];
  size_t count_ = 0;
  Fd hosts_;
  Fd changes_;  // inotify(7)
  Timer timer_;
  bool waits_ = false;        // for the timer
  bool looks_again_ = false;  // once more after that
  char own_[16] = {};
  List<char> lines_;  // of the containers that are there now
};

}  // namespace boxctl
