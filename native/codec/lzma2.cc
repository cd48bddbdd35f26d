#include "lzma2.h"

#include <string.h>

namespace boxctl::codec {

namespace {

// The smallest ring: with a smaller one, pieces would be too small. And the most that one run decodes.
constexpr size_t kMinRing = 256 * 1024, kPiece = 256 * 1024;
// Twice what `xz -9` uses. A larger dictionary is asked for when there is so much to remember.
constexpr size_t kFirstRing = size_t{128} << 20;
constexpr uint32_t kTop = 1u << 24;
constexpr unsigned kModelBits = 11, kMoveBits = 5;
constexpr uint16_t kHalf = 1 << (kModelBits - 1);
constexpr uint32_t kMinMatch = 2;

// One symbol takes no more than 48 binary decisions, and a decision no more than one byte: the padding of the input is
// enough for what is read behind a chunk before that is noticed.
static_assert(Input::kPadding >= 48);
// A compressed chunk, 64 KiB at most, is wanted as a whole.
static_assert(Input::kSize >= 65536);

}  // namespace

bool Lzma2::restart(size_t dictionary, size_t most) {
  most_ = dictionary < kMinRing ? kMinRing : dictionary < most ? dictionary : most;
  size_ = most_ < kFirstRing ? most_ : kFirstRing;
  distance_ = dictionary;
  if (size_ > memory_.size() && !memory_.reset(size_)) return false;
  dictionary_ = memory_.begin();
  position_ = 0;
  piece_ = dictionary_;
  consumed_ = 0;
  state_ = State::kChunk;
  needs_reset_ = needs_properties_ = true;
  return true;
}

// At the end of the ring: it grows, until it is as large as the dictionary, and begins anew from then on.
Lzma2::Step Lzma2::turn() {
  if (size_ == most_) {
    if (distance_ > size_) return Step::kTooFar;
    position_ = 0;
    return Step::kMore;
  }
  const size_t size = most_ / 2 < size_ ? most_ : size_ * 2;
  if (size > memory_.size() && !memory_.resize(size)) return Step::kNoMemory;
  dictionary_ = memory_.begin();
  size_ = size;
  return Step::kMore;
}

Lzma2::Step Lzma2::run() {
  if (position_ == size_) {
    const Step step = turn();
    if (step != Step::kMore) return step;
  }
  piece_ = dictionary_ + position_;
  while (end() == piece_) {
    Step step = Step::kMore;
    switch (state_) {
      case State::kChunk:
        step = chunk_header();
        break;
      case State::kStored:
        step = stored();
        break;
      case State::kCoded:
        step = coded();
        break;
      case State::kEnd:
        return Step::kEnd;
    }
    if (step != Step::kMore) return step;
  }
  return Step::kMore;
}

Lzma2::Step Lzma2::chunk_header() {
  if (!input_.require(1)) return Step::kCutOff;
  const uint8_t control = *input_.next;
  if (control == 0) {
    input_.next++;
    consumed_++;
    state_ = State::kEnd;
    return Step::kMore;
  }
  if (control > 2 && control < 0x80) return Step::kDamaged;
  const bool compressed = control >= 0x80;
  const size_t length = !compressed ? 3 : control >= 0xc0 ? 6 : 5;
  if (!input_.require(length)) return Step::kCutOff;
  const uint8_t* const header = input_.next;
  input_.next += length;
  consumed_ += length;

  if (control == 1 || control >= 0xe0) {
    needs_reset_ = false;
    needs_properties_ = true;
    filled_ = 0;
  } else if (needs_reset_) {
    return Step::kDamaged;
  }
  const size_t low = size_t{header[1]} << 8 | header[2];
  if (!compressed) {
    stored_ = low + 1;
    state_ = State::kStored;
    return Step::kMore;
  }

  unpacked_ = ((control & size_t{0x1f}) << 16 | low) + 1;
  const size_t packed = (size_t{header[3]} << 8 | header[4]) + 1;
  if (control >= 0xc0) {
    const uint32_t properties = header[5];
    const uint32_t literal_context = properties % 9, literal_position = properties / 9 % 5, position = properties / 45;
    if (position > 4 || literal_context + literal_position > 4) return Step::kDamaged;
    literal_context_ = literal_context;
    literal_position_mask_ = (1u << literal_position) - 1;
    position_mask_ = (1u << position) - 1;
    needs_properties_ = false;
  } else if (needs_properties_) {
    return Step::kDamaged;
  }
  if (control >= 0xa0) reset_state();

  if (!input_.require(packed)) return Step::kCutOff;
  const uint8_t* const data = input_.next;
  if (packed < 5 || data[0] != 0) return Step::kDamaged;
  range_ = UINT32_MAX;
  code_ = uint32_t{data[1]} << 24 | uint32_t{data[2]} << 16 | uint32_t{data[3]} << 8 | data[4];
  chunk_end_ = data + packed;
  input_.next += 5;
  consumed_ += packed;
  state_ = State::kCoded;
  return Step::kMore;
}

Lzma2::Step Lzma2::stored() {
  if (stored_ == 0) {
    state_ = State::kChunk;
    return Step::kMore;
  }
  if (!input_.require(1)) return Step::kCutOff;
  size_t part = size_ - position_;
  if (part > stored_) part = stored_;
  if (part > input_.available()) part = input_.available();
  memcpy(dictionary_ + position_, input_.next, part);
  input_.next += part;
  consumed_ += part;
  position_ += part;
  filled_ += part;
  stored_ -= part;
  return Step::kMore;
}

void Lzma2::reset_state() {
  last_ = 0;
  memset(reps_, 0, sizeof reps_);
  auto* const probabilities = reinterpret_cast<Probability*>(&model_);
  for (size_t i = 0; i < sizeof model_ / sizeof(Probability); i++) probabilities[i] = kHalf;
}

// The inner loop: until the chunk is through, the piece is full or the ring's end is reached.
Lzma2::Step Lzma2::coded() {
  if (unpacked_ == 0) {
    // The coder ends with the chunk, and with nothing left in it.
    if (range_ < kTop) {
      range_ <<= 8;
      code_ = code_ << 8 | *input_.next++;
    }
    if (input_.next != chunk_end_ || code_ != 0 || pending_ != 0) return Step::kDamaged;
    state_ = State::kChunk;
    return Step::kMore;
  }

  size_t room = size_ - position_;
  if (room > kPiece) room = kPiece;
  if (room > unpacked_) room = unpacked_;
  const size_t start = position_, limit = position_ + room;

  uint8_t* const dictionary = dictionary_;
  size_t position = start;
  const uint8_t* in = input_.next;
  uint32_t range = range_, code = code_, state = last_;
  uint32_t rep0 = reps_[0], rep1 = reps_[1], rep2 = reps_[2], rep3 = reps_[3];
  uint32_t pending = pending_;

  const auto normalize = [&] {
    if (range < kTop) {
      range <<= 8;
      code = code << 8 | *in++;
    }
  };
  const auto decide = [&](Probability& probability) -> uint32_t {
    normalize();
    const uint32_t bound = (range >> kModelBits) * probability;
    if (code < bound) {
      range = bound;
      probability = static_cast<Probability>(probability + (((1u << kModelBits) - probability) >> kMoveBits));
      return 0;
    }
    range -= bound;
    code -= bound;
    probability = static_cast<Probability>(probability - (probability >> kMoveBits));
    return 1;
  };
  const auto tree = [&](Probability* probabilities, uint32_t size) {
    uint32_t symbol = 1;
    do {
      symbol = symbol << 1 | decide(probabilities[symbol]);
    } while (symbol < size);
    return symbol - size;
  };
  const auto reverse_tree = [&](Probability* probabilities, unsigned bits) {
    uint32_t symbol = 1, value = 0;
    for (unsigned i = 0; i < bits; i++) {
      const uint32_t bit = decide(probabilities[symbol]);
      symbol = symbol << 1 | bit;
      value |= bit << i;
    }
    return value;
  };
  const auto length_of = [&](Length& length, size_t at) {
    if (decide(length.choice) == 0) return kMinMatch + tree(length.low[at], 8);
    if (decide(length.choice2) == 0) return kMinMatch + 8 + tree(length.mid[at], 8);
    return kMinMatch + 16 + tree(length.high, 256);
  };
  const auto behind = [&](uint32_t distance) {
    return dictionary[position > distance ? position - distance - 1 : position + size_ - distance - 1];
  };
  // Copies as much of the match as there is room for. False when it reaches back too far.
  const auto copy = [&] {
    const uint64_t filled = filled_ + (position - start);
    if (rep0 >= filled || rep0 >= distance_) return false;
    uint32_t part = pending;
    if (part > limit - position) part = static_cast<uint32_t>(limit - position);
    pending -= part;
    const size_t back = size_t{rep0} + 1;
    if (back <= position && back >= part) {
      memcpy(dictionary + position, dictionary + position - back, part);
      position += part;
      return true;
    }
    size_t from = back <= position ? position - back : position + size_ - back;
    for (; part > 0; part--) {
      dictionary[position++] = dictionary[from++];
      if (from == size_) from = 0;
    }
    return true;
  };

  Step step = Step::kMore;
  if (pending > 0 && !copy()) step = Step::kDamaged;
  while (position < limit && step == Step::kMore) {
    // What counts is the place in the content; the ring's size may be odd.
    const size_t place = static_cast<size_t>(filled_) + (position - start);
    const size_t at = place & position_mask_;
    if (decide(model_.match[state][at]) == 0) {
      const uint32_t before = place == 0 ? 0 : behind(0);
      Probability* const probabilities =
          model_.literal +
          0x300 * (((place & literal_position_mask_) << literal_context_) + (before >> (8 - literal_context_)));
      uint32_t symbol = 1;
      if (state < 7) {
        do {
          symbol = symbol << 1 | decide(probabilities[symbol]);
        } while (symbol < 0x100);
      } else {
        if (rep0 >= place || rep0 >= distance_) {
          step = Step::kDamaged;
          break;
        }
        // A literal after a match is coded by the byte at the match's distance as well.
        uint32_t expected = behind(rep0), offset = 0x100;
        do {
          expected <<= 1;
          const uint32_t bit = expected & offset;
          if (decide(probabilities[offset + bit + symbol]) == 0) {
            symbol <<= 1;
            offset &= ~bit;
          } else {
            symbol = symbol << 1 | 1;
            offset &= bit;
          }
        } while (symbol < 0x100);
      }
      dictionary[position++] = static_cast<uint8_t>(symbol);
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
    } else {
      if (decide(model_.rep[state]) == 0) {
        rep3 = rep2;
        rep2 = rep1;
        rep1 = rep0;
        pending = length_of(model_.match_length, at);
        const uint32_t context = pending - kMinMatch < 4 ? pending - kMinMatch : 3;
        const uint32_t slot = tree(model_.slot[context], 64);
        if (slot < 4) {
          rep0 = slot;
        } else {
          const unsigned bits = (slot >> 1) - 1;
          rep0 = (2 | (slot & 1)) << bits;
          if (slot < 14) {
            // Trees one behind the other; the first place of a tree is not used.
            rep0 += reverse_tree(model_.special + rep0 - slot, bits);
          } else {
            uint32_t direct = 0;
            for (unsigned i = bits - 4; i > 0; i--) {
              normalize();
              range >>= 1;
              code -= range;
              const uint32_t mask = 0 - (code >> 31);
              code += range & mask;
              direct = (direct << 1) + (mask + 1);
            }
            rep0 += direct << 4;
            rep0 += reverse_tree(model_.align, 4);
          }
        }
        state = state < 7 ? 7 : 10;
      } else {
        pending = 0;
        if (decide(model_.rep0[state]) == 0) {
          if (decide(model_.rep0_long[state][at]) == 0) pending = 1;
        } else {
          uint32_t distance = rep1;
          if (decide(model_.rep1[state]) != 0) {
            distance = rep2;
            if (decide(model_.rep2[state]) != 0) {
              distance = rep3;
              rep3 = rep2;
            }
            rep2 = rep1;
          }
          rep1 = rep0;
          rep0 = distance;
        }
        if (pending == 0) {
          pending = length_of(model_.rep_length, at);
          state = state < 7 ? 8 : 11;
        } else {
          state = state < 7 ? 9 : 11;
        }
      }
      if (!copy()) step = Step::kDamaged;
    }
    if (in > chunk_end_) step = Step::kDamaged;
  }

  filled_ += position - start;
  unpacked_ -= position - start;
  position_ = position;
  input_.next = in;
  range_ = range;
  code_ = code;
  last_ = state;
  reps_[0] = rep0;
  reps_[1] = rep1;
  reps_[2] = rep2;
  reps_[3] = rep3;
  pending_ = pending;
  return step;
}

}  // namespace boxctl::codec
