// Memory that frees itself: a growing array whose failures are values. For plain data only.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>
#include <utility>

namespace boxctl {

template <typename T>
class List {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  List() = default;
  ~List() { free(items_); }
  List(List&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        room_(std::exchange(other.room_, 0)) {}
  List& operator=(List&& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
    return *this;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  size_t size() const { return size_; }
  T& operator[](size_t index) { return items_[index]; }
  const T& operator[](size_t index) const { return items_[index]; }
  // Null before anything was added.
  T* begin() { return items_; }
  T* end() { return items_ + size_; }
  const T* begin() const { return items_; }
  const T* end() const { return items_ + size_; }

  // Each of these is false when there is no memory left, and then nothing has changed.

  bool add(const T& item) { return add(&item, 1); }
  bool add(const T* items, size_t count) {
    if (!reserve(count)) return false;
    if (count > 0) memcpy(static_cast<void*>(items_ + size_), items, count * sizeof(T));
    size_ += count;
    return true;
  }
  // `count` items of zeroes in place of what was there.
  bool reset(size_t count) {
    T* const fresh = static_cast<T*>(calloc(count > 0 ? count : 1, sizeof(T)));
    if (fresh == nullptr) return false;
    free(items_);
    items_ = fresh;
    size_ = room_ = count;
    return true;
  }
  // Keeps what is there. Items that are added are not initialised. Room for exactly so many is asked for.
  bool resize(size_t count) {
    if (count > room_ && !reallocate(count)) return false;
    size_ = count;
    return true;
  }

  void clear() { size_ = 0; }
  // Puts the last item in the place of this one.
  void remove(size_t index) { items_[index] = items_[--size_]; }

 private:
  bool reserve(size_t more) {
    if (more <= room_ - size_) return true;
    size_t room = room_ == 0 ? 64 : room_;
    while (room - size_ < more) {
      if (room > SIZE_MAX / 2) return false;
      room *= 2;
    }
    return reallocate(room);
  }
  bool reallocate(size_t room) {
    if (room > SIZE_MAX / sizeof(T)) return false;
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

}  // namespace boxctl
