// Writes an index: the inodes in the order of their places, then the blocks that did not fit behind them.
#pragma once

#include "erofs.h"
#include "erofs_layout.h"
#include "erofs_output.h"
#include "sparse.h"

namespace boxctl::image {

class IndexWriter {
 public:
  IndexWriter(const Tree& tree, const Layout& layout, IndexReport& report, Sink sink, Data data)
      : tree_(tree), layout_(layout), report_(report), out_(sink, kInodes), sink_(sink), data_(data) {}

  // `device_size`: of the file in which the archive lies. False: see the report.
  bool run(uint64_t device_size) { return write_nodes() && write_blocks() && write_super(device_size); }

 private:
  bool put(const void* bytes, size_t size);
  bool pad_to(uint64_t place);
  bool write_nodes();
  bool write_node(const Node& node, Id id);
  bool write_attributes(const Node& node);
  bool write_mark(const char* name, const char* value);
  bool write_chunks(const Node& node);
  bool write_blocks();
  bool write_copies(const Node& node);
  bool write_copy(const Chunks& chunk);
  bool write_super(uint64_t device_size);

  const Tree& tree_;
  const Layout& layout_;
  IndexReport& report_;
  Output out_;
  const Sink sink_;
  const Data data_;
};

}  // namespace boxctl::image
