// What the launcher waits for: a table of descriptors, each with the function that handles what happens to it. The
// table is filled anew for every poll(2) from what each part of the launcher waits for at that moment
// (Supervisor::add_sources is the one place that lists the parts). It has a fixed size, and nothing here allocates.
//
// A part that has many descriptors, as the connections of a published port, keeps them in an epoll(7) instance of its
// own and adds the descriptor of that instance alone: it is readable whenever one of its descriptors is ready. The
// table itself is not an epoll instance because that refuses regular files, and the caller's descriptors 0 to 2 may be
// files.
#pragma once

#include <poll.h>
#include <stddef.h>

namespace boxctl {

class Poller {
 public:
  // The launcher's own parts add at most 52, of which 16 are the connections of Control. To add more than there is room
  // for is a defect of the launcher, which then ends, and the container with it.
  static constexpr size_t kMost = 64;

  void clear() {
    count_ = 0;
    most_ = -1;
  }
  // Calls `(owner.*Method)(happened)` when one of `events`, or an error, has happened to the descriptor. One that is -1
  // is skipped. The method must not block. It may find the descriptor closed, when the method of an earlier entry did
  // that.
  template <auto Method, typename Owner>
  void add(int fd, short events, Owner& owner) {
    add(fd, events, &owner, [](void* of, short happened) { (static_cast<Owner*>(of)->*Method)(happened); });
  }
  // The wait ends after so many milliseconds at most.
  void within(int ms) { most_ = ms; }
  // Ends the wait and calls nothing.
  void add(int fd, short events) { add(fd, events, nullptr, nullptr); }

  // Waits until something has happened to one of the descriptors, or a signal was handled. 0 or -errno.
  long wait();
  // Whether something has happened to any of them.
  bool has_any() const;
  // Calls the methods of the descriptors that something has happened to, in the order in which they were added.
  void dispatch() const;

 private:
  using Handler = void (*)(void* owner, short happened);
  void add(int fd, short events, void* owner, Handler handler);

  size_t count_ = 0;
  int most_ = -1;
  pollfd polls_[kMost];
  void* owners_[kMost];
  Handler handlers_[kMost];
};

}  // namespace boxctl
