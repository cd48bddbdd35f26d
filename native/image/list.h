// A growing array whose failures are values: `add` is false when there is no memory left. For plain data only.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>

namespace boxctl::image {

template <typename T>
class List {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  List() = default;
  ~List() { free(items_); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  size_t size() const { return size_; }
  T& operator[](size_t index) { return items_[index]; }
  const T& operator[](size_t index) const { return items_[index]; }
  T* begin() { return items_; }
  T* end() { return items_ + size_; }
  const T* begin() const { return items_; }
  const T* end() const { return items_ + size_; }

  bool add(const T& item) { return add(&item, 1); }
  bool add(const T* items, size_t count) {
    if (!reserve(count)) return false;
    if (count > 0) memcpy(static_cast<void*>(items_ + size_), items, count * sizeof(T));
    size_ += count;
    return true;
  }
  // In place of what was there: `count` items of zeroes.
  bool reset(size_t count) {
    T* const fresh = static_cast<T*>(calloc(count, sizeof(T)));
    if (fresh == nullptr) return false;
    free(items_);
    items_ = fresh;
    size_ = room_ = count;
    return true;
  }
  void clear() { size_ = 0; }

 private:
  bool reserve(size_t more) {
    if (more <= room_ - size_) return true;
    size_t room = room_ == 0 ? 64 : room_;
    while (room - size_ < more) {
      if (room > SIZE_MAX / 2 / sizeof(T)) return false;
      room *= 2;
    }
    T* const grown = static_cast<T*>(realloc(static_cast<void*>(items_), room * sizeof(T)));
    if (grown == nullptr) return false;
    items_ = grown;
    room_ = room;
    return true;
  }

  T* items_ = nullptr;
  size_t size_ = 0;
  size_t room_ = 0;
};

}  // namespace boxctl::image
