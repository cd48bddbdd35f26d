// A list of paths whose number is bounded by its user.
#pragma once

#include <string.h>

#include "../shared/list.h"

namespace boxctl::image {

class Paths {
 public:
  size_t size() const { return starts_.size(); }
  const char* operator[](size_t index) const { return text_.begin() + starts_[index]; }
  // False: there is no memory left.
  bool add(const char* path) {
    const size_t start = text_.size();
    return text_.add(path, strlen(path) + 1) && starts_.add(start);
  }
  // Puts the last path in the place of this one. Its text stays in memory.
  void remove(size_t index) { starts_.remove(index); }
  // The index of a path, or size().
  size_t find(const char* path) const {
    size_t index = 0;
    while (index < size() && strcmp((*this)[index], path) != 0) index++;
    return index;
  }

 private:
  List<char> text_;  // each with a NUL
  List<size_t> starts_;
};

}  // namespace boxctl::image
