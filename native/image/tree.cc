#include "tree.h"

#include <sys/auxv.h>
#include <sys/stat.h>

namespace boxctl::image {

namespace {

uint64_t rotate(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

// SipHash-1-3 (Aumasson, Bernstein 2012): the writer of an archive must not be able to choose names that collide in the
// table.
class SipHash {
 public:
  explicit SipHash(const uint64_t (&key)[2])
      : v0_(key[0] ^ 0x736f6d6570736575),
        v1_(key[1] ^ 0x646f72616e646f6d),
        v2_(key[0] ^ 0x6c7967656e657261),
        v3_(key[1] ^ 0x7465646279746573) {}

  void word(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }

  uint64_t finish() {
    v2_ ^= 0xff;
    round();
    round();
    round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = rotate(v1_, 13) ^ v0_;
    v3_ = rotate(v3_, 16) ^ v2_;
    v0_ = rotate(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = rotate(v1_, 17) ^ v2_;
    v3_ = rotate(v3_, 21) ^ v0_;
    v2_ = rotate(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace

Tree::Tree() {
  // 16 random bytes that the kernel has put there for every process (getauxval(3)); no system call is needed for them.
  const auto* const random = reinterpret_cast<const void*>(getauxval(AT_RANDOM));
  if (random != nullptr) {
    memcpy(key_, random, sizeof key_);
  } else {
    memset(key_, 0, sizeof key_);
  }
}

bool Tree::start() {
  Node root;
  root.mode = S_IFDIR | 0755;
  root.implied = true;
  root.parent = kRoot;
  Node whiteout;
  whiteout.mode = S_IFCHR;
  return nodes.add(root) && nodes.add(whiteout) && table_.reset(1024);
}

uint32_t Tree::hash_of(Id folder, const char* name, size_t length) const {
  SipHash hash(key_);
  hash.word(uint64_t{folder} << 32 | length);
  for (size_t at = 0; at < length; at += 8) {
    uint64_t word = 0;
    memcpy(&word, name + at, length - at < 8 ? length - at : 8);
    hash.word(word);
  }
  return static_cast<uint32_t>(hash.finish());
}

Id Tree::find(Id folder, const char* name, size_t length) const {
  const uint32_t hash = hash_of(folder, name, length);
  const size_t mask = table_.size() - 1;
  for (size_t at = hash & mask; table_[at] != 0; at = (at + 1) & mask) {
    const Name& candidate = names[table_[at] - 1];
    if (candidate.hash == hash && candidate.folder == folder && candidate.length == length &&
        memcmp(name_text(candidate), name, length) == 0) {
      return table_[at] - 1;
    }
  }
  return kNone;
}

Id Tree::find_or_add(Id folder, const char* name, size_t length) {
  const Id found = find(folder, name, length);
  if (found != kNone) return found;
  if (names.size() * 2 >= table_.size() && !grow()) return kNone;
  const uint32_t hash = hash_of(folder, name, length);
  const auto id = static_cast<Id>(names.size());
  const auto place = static_cast<uint32_t>(text.size());
  if (!text.add(name, length) || !names.add({folder, kNone, place, hash, static_cast<uint8_t>(length), false})) {
    return kNone;
  }
  const size_t mask = table_.size() - 1;
  size_t at = hash & mask;
  while (table_[at] != 0) at = (at + 1) & mask;
  table_[at] = id + 1;
  return id;
}

bool Tree::grow() {
  const size_t room = table_.size() * 2;
  if (!table_.reset(room)) return false;
  for (size_t i = 0; i < names.size(); i++) {
    size_t at = names[i].hash & (room - 1);
    while (table_[at] != 0) at = (at + 1) & (room - 1);
    table_[at] = static_cast<Id>(i + 1);
  }
  return true;
}

bool Tree::contains(Id node, Id folder) const {
  for (Id at = folder; at != node; at = nodes[at].parent) {
    if (at == kRoot) return false;
  }
  return true;
}

}  // namespace boxctl::image
