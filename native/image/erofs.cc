#include "erofs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "erofs_layout.h"
#include "erofs_writer.h"

namespace boxctl::image {
namespace {

// More could not be counted in the fields that are used.
constexpr uint64_t kMaxIndex = uint64_t{2} << 30;

}  // namespace

Index::Index(const IndexOptions& options) : options_(options) {
  if (options_.index_bytes > kMaxIndex) options_.index_bytes = kMaxIndex;
}

bool Index::scan(tar::Reader& reader, uint64_t base) { return Scan(reader, base, options_, tree_, report_).run(); }

bool Index::write(Sink sink, Data data, uint64_t device_size) {
  Layout layout(tree_, options_, report_);
  return layout.run() && IndexWriter(tree_, layout, report_, sink, data).run(device_size);
}

void Index::wanted(bool (*found)(void* context, const char* path), void* context) const {
  for (const char* path = tree_.wanted.begin(); path != tree_.wanted.end(); path += strlen(path) + 1) {
    if (!found(context, path)) return;
  }
}

void Index::implied(bool (*found)(void* context, const char* path), void* context) const {
  for (Id id = 0; id < tree_.nodes.size(); id++) {
    const Node& node = tree_.nodes[id];
    if (!node.implied || !S_ISDIR(node.mode)) continue;
    // From the end, since only the way up is known. No path is longer than those of the archive.
    char path[tar::kMaxPath] = {};
    size_t at = sizeof path - 1;
    bool listed = true;
    for (Id up = id; up != kRoot && listed; up = tree_.nodes[up].parent) {
      const Name& name = tree_.names[tree_.nodes[up].name];
      listed = name.node == up && !name.hides && (up == id || !tree_.nodes[up].opaque);
      if (at < sizeof path - 1) path[--at] = '/';
      at -= name.length;
      memcpy(path + at, tree_.name_text(name), name.length);
    }
    if (listed && !found(context, path + at)) return;
  }
}

ssize_t HeaderSource::read(void* context, void* buffer, size_t size) {
  auto& self = *static_cast<HeaderSource*>(context);
  // As much as a header and its extensions take: what comes after them is skipped mostly.
  constexpr size_t kPiece = 2048;
  const uint64_t left = self.end_ - self.at_;
  if (size > kPiece) size = kPiece;
  if (size > left) size = left;
  const ssize_t got = pread(self.fd_, buffer, size, static_cast<off_t>(self.at_));
  if (got > 0) self.at_ += static_cast<uint64_t>(got);
  return got;
}

bool HeaderSource::skip(void* context, uint64_t size) {
  auto& self = *static_cast<HeaderSource*>(context);
  if (size > self.end_ - self.at_) return false;
  self.at_ += size;
  return true;
}

namespace {

bool write_fd(void* context, uint64_t offset, const void* bytes, size_t size) {
  const int fd = *static_cast<int*>(context);
  for (size_t done = 0; done < size;) {
    const ssize_t wrote =
        pwrite(fd, static_cast<const char*>(bytes) + done, size - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    done += static_cast<size_t>(wrote);
  }
  return true;
}

ssize_t read_fd(void* context, void* buffer, size_t size, uint64_t offset) {
  return pread(*static_cast<int*>(context), buffer, size, static_cast<off_t>(offset));
}

}  // namespace

bool write_index(Index& index, int tar_fd, uint64_t size, int out_fd) {
  return index.write({write_fd, &out_fd}, {read_fd, &tar_fd}, size);
}

bool index_tar(Index& index, int tar_fd, uint64_t offset, uint64_t size, int out_fd) {
  HeaderSource source(tar_fd, offset, size);
  tar::Reader reader(source.source());
  return index.scan(reader, offset) && write_index(index, tar_fd, offset + size, out_fd);
}

}  // namespace boxctl::image
