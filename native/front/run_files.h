// What is written down of a container, as src/state/kept-plans.ts has kept it beside the plan, with places for what is
// another at each start.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../shared/list.h"
#include "fill.h"
#include "kept.h"

namespace boxctl {

constexpr size_t kMostRunFiles = sizeof kRunFiles / sizeof *kRunFiles;

class RunFiles {
 public:
  // False: they are not there, or may not be used.
  bool read(const Kept& kept);
  // `bytes` become this object's, with what goes with the plan's chosen number. False: they are not sound.
  bool parse(const Kept& kept, List<uint8_t>&& bytes);
  // Whether the container in the folder was made from the same.
  bool is_same(int folder) const;
  // Makes the files in the folder. container.json comes last, and whole: it is what others look for.
  bool write(int folder, const char* id);
  // They are those of a run with this id, which begins now.
  void set_run(const char* id);
  // How many there are, by the names of kRunFiles; and the text of one of them. False: there is no memory left.
  size_t count() const { return count_; }
  bool text_of(size_t index, List<uint8_t>& text) const;

 private:
  bool is_same_file(int folder, size_t index) const;
  bool write_one(int folder, size_t index, const char* name) const;

  List<uint8_t> bytes_;
  List<Place> places_;
  uint8_t* texts_ = nullptr;
  uint32_t id_at_ = 0;
  uint32_t created_at_ = 0;
  uint32_t count_ = 0;
  size_t ends_[kMostRunFiles] = {};
};

// Removes what `write` makes.
void remove_run_files(int folder);

// The file of such a folder that is locked as long as it is used.
constexpr char kLock[] = "lock";
// Makes it, locked. Invalid: that failed.
Fd make_lock(int folder);

}  // namespace boxctl
