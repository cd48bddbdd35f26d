// The imager's work, each a call that ends the process. The archive is kArchiveFd; what is to be said goes to
// kReportFd (report.h).
#include "../launcher/image_call.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../launcher/copy.h"
#include "../shared/syscalls.h"
#include "../wire/flags.h"
#include "archive.h"
#include "changes.h"
#include "compress.h"
#include "describe.h"
#include "erofs.h"
#include "extract.h"
#include "live.h"
#include "names.h"
#include "pack.h"
#include "report.h"
#include "unpack.h"

namespace boxctl {
namespace {

using image::Archive;
using image::Report;

image::WalkOptions walk_options(uint64_t flags, uint64_t max_entries) {
  image::WalkOptions options;
  if ((flags & kImageLayer) != 0) {
    options.whiteouts = (flags & kImageLowest) != 0 ? image::Whiteouts::kDropped : image::Whiteouts::kMarks;
  }
  options.stop_at_image = (flags & kImageStopAtImage) != 0;
  options.entries = max_entries;
  return options;
}

Archive::Digests digests_of(uint64_t flags) {
  if ((flags & kImageUndigested) != 0) return Archive::Digests::kNone;
  return (flags & kImageLayer) != 0 ? Archive::Digests::kBoth : Archive::Digests::kArchive;
}

void report_stream(Report& report, Archive& archive) {
  report.text("compression", archive.compression());
  report.text("sha256", archive.digest());
  report.text("plain_sha256", archive.plain_digest());
}

// `image`: the archive may hold an image in layers.
[[noreturn]] void fail(const Failure& failure, const char* entry, bool image = false) {
  image::report_failure(failure, entry, image);
  _exit(1);
}

// A stream that failed is the cause of what failed after it.
[[noreturn]] void fail(const Archive& archive, const Failure& failure = {}, const char* entry = "",
                       bool image = false) {
  const Failure cause = archive.failure();
  if (cause) fail(cause, "");
  fail(failure, entry, image);
}

image::Owners owners_of(const Arg& text) {
  image::Owners owners;
  if (owners.parse(text.text.data)) return owners;
  fail({"the owners that an image may have are malformed", EINVAL}, "");
}

void report_list(Report& report, const char* key, const image::Paths& list) {
  report.open_list(key);
  for (size_t i = 0; i < list.size(); i++) report.item(list[i]);
  report.close_list();
}

// unpack(dirfd, offset, size, flags, max_bytes, max_entries, owners)
[[noreturn]] void work_unpack(int dirfd, const Call& c) {
  const uint64_t flags = c.args[3].number;
  Archive archive(kArchiveFd, c.args[1].number, c.args[2].number, digests_of(flags));
  if (!archive.start()) fail(archive);
  UnpackOptions options;
  options.walk = walk_options(flags, c.args[5].number);
  options.links_below = (flags & kImageComplete) == 0;
  options.bytes = c.args[4].number;
  options.owners = owners_of(c.args[6]);
  const Unpacked result = unpack(dirfd, archive.tap(), options);
  Report report;
  if (result.image) report.flag("image");
  if (result.stopped) {
    report.flag("stopped");
    report.send();
    _exit(0);
  }
  if (result.failure) fail(archive, result.failure, result.entry, result.image);
  report.number("entries", result.entries);
  report.number("bytes", result.bytes);
  report.number("squashed", result.squashed);
  if (result.opaque_root) report.flag("opaque_root");
  report.number("skipped", result.skipped);
  report_list(report, "implied", result.implied);
  report_list(report, "wanted", result.wanted);
  report_stream(report, archive);
  report.send();
  _exit(0);
}

// A new file for the worker to write.
int create(int dirfd, const char* pathname) {
  const int fd = openat(dirfd, pathname, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  fail({"the file cannot be made", errno}, "");
}

// ingest(dirfd, pathname, offset, size, flags, max_bytes): the archive decompressed into a new file, or with an empty
// pathname only digested: as it is, and with kImageLayer decompressed, too.
[[noreturn]] void work_ingest(int dirfd, const char* pathname, const Call& c) {
  Fd file;
  if (*pathname != 0) file.reset(create(dirfd, pathname));
  const bool layer = (c.args[4].number & kImageLayer) != 0;
  Archive archive(kArchiveFd, c.args[2].number, c.args[3].number,
                  layer ? Archive::Digests::kBoth : Archive::Digests::kArchive);
  if (!archive.start(file.valid() || layer)) fail(archive);
  const Source stream = archive.stream();
  uint64_t bytes = 0;
  for (;;) {
    const void* piece;
    const ssize_t got = stream.lend(stream.context, &piece);
    if (got < 0) fail(archive, {"the archive cannot be read", errno});
    if (got == 0) break;
    bytes += static_cast<uint64_t>(got);
    if (bytes > c.args[5].number) fail(archive, {"the archive has more data than an image may have"});
    if (!file.valid()) continue;
    const Failure failure = image::write_all(file.get(), piece, static_cast<size_t>(got));
    if (failure) fail(archive, failure);
  }
  Report report;
  report_stream(report, archive);
  report.send();
  _exit(0);
}

uint64_t size_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

bool report_path(void* context, const char* path) {
  static_cast<Report*>(context)->item(path);
  return true;
}

void report_index(Report& report, const image::Index& index, bool layer) {
  const image::IndexReport& made = index.report();
  report.number("entries", made.entries);
  report.number("bytes", made.bytes);
  report.number("skipped", made.skipped);
  report.number("squashed", made.squashed);
  if (made.opaque_root) report.flag("opaque_root");
  report.open_list("implied");
  if (layer) index.implied(report_path, &report);
  report.close_list();
  report.open_list("wanted");
  index.wanted(report_path, &report);
  report.close_list();
}

void check_index(const Archive* archive, const image::IndexReport& made) {
  if (made.outcome == image::Outcome::kDone) return;
  Failure failure = made.failure;
  // By this number boxctl knows that the archive may be good, and unpacks it (src/worker/work.ts).
  if (made.outcome == image::Outcome::kUnsuitable) failure.number = EFBIG;
  if (archive != nullptr) fail(*archive, failure, made.entry, made.image);
  fail(failure, made.entry, made.image);
}

// index(dirfd, pathname, data, offset, size, flags, max_bytes, max_entries, owners). With a name for `data`, the
// archive is decompressed into that new file on the way, and the index is the file's.
[[noreturn]] void work_index(int dirfd, const char* pathname, const Call& c) {
  const char* const data = c.args[2].text.data;
  const uint64_t flags = c.args[5].number, offset = c.args[3].number, size = c.args[4].number;
  const bool layer = (flags & kImageLayer) != 0;
  const Fd out(create(dirfd, pathname));
  image::IndexOptions options;
  options.walk = walk_options(flags, c.args[7].number);
  options.links_below = (flags & kImageComplete) == 0;
  options.bytes = c.args[6].number;
  options.owners = owners_of(c.args[8]);
  static image::Index index(options);
  Report report;
  if (*data == 0) {
    image::index_tar(index, kArchiveFd, offset, size != 0 ? size : size_of(kArchiveFd) - offset, out.get());
    check_index(nullptr, index.report());
  } else {
    const Fd file(create(dirfd, data));
    Archive archive(kArchiveFd, offset, size, digests_of(flags));
    if (!archive.start() || !archive.copy_to(file.get(), options.bytes)) fail(archive);
    tar::Reader reader(archive.stream());
    index.scan(reader, 0);
    check_index(&archive, index.report());
    uint64_t bytes = 0;
    if (!reader.drain() || !archive.finish_copy(bytes)) fail(archive, reader.failure());
    image::write_index(index, file.get(), bytes, out.get());
    check_index(&archive, index.report());
    report_stream(report, archive);
  }
  if (index.report().image) report.flag("image");
  report_index(report, index, layer);
  report.send();
  _exit(0);
}

// More members than an archive of an image has: manifests, configurations, layers.
constexpr size_t kMaxMembers = 20'000;

// scan(): of the first so many, each regular file and link of the tar as "offset size path"; of a link, " -> " and
// where it leads.
[[noreturn]] void work_scan() {
  image::HeaderSource source(kArchiveFd, 0, size_of(kArchiveFd));
  tar::Reader reader(source.source());
  Report report;
  report.open_list("members");
  char line[2 * tar::kMaxPath + 80];
  image::Path path;
  for (size_t count = 0;;) {
    const tar::Reader::Step step = reader.next();
    if (step == tar::Reader::Step::kEnd) break;
    if (step == tar::Reader::Step::kError) {
      fail(reader.failure(), reader.entry().path);
    }
    const tar::Entry& entry = reader.entry();
    const bool link = entry.type == tar::Type::kSymlink || entry.type == tar::Type::kHardLink;
    if ((entry.type != tar::Type::kFile || reader.sparse()) && !link) continue;
    // No tool writes such a path into an image's archive, and a root file system may have it.
    if (!image::normalise(entry.path, path)) continue;
    if (++count > kMaxMembers) break;
    snprintf(line, sizeof line, "%llu %llu %s%s%s%s%s", static_cast<unsigned long long>(reader.data_offset()),
             static_cast<unsigned long long>(entry.size), path.folder, *path.folder == 0 ? "" : "/", path.name,
             link ? " -> " : "", link ? entry.link : "");
    report.item(line);
  }
  report.close_list();
  report.send();
  _exit(0);
}

constexpr off_t kMaxText = 1 << 20;

// The text of a regular file in the root `dirfd`; "" if there is no such file, or if it is too long.
void report_file(Report& report, int dirfd, const char* path) {
  open_how how = {};
  how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const Fd file(static_cast<int>(call(kSysOpenat2, dirfd, path, &how, sizeof how)));
  struct stat status;
  static char text[kMaxText + 1];
  ssize_t size = 0;
  if (file.get() >= 0 && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= kMaxText) {
    size = pread(file.get(), text, kMaxText, 0);
  }
  text[size > 0 ? size : 0] = 0;
  report.item(text);
}

// What a path leads to: "mode uid gid seconds nanoseconds", the mode with its type, in octal; "" for nothing.
void report_status(Report& report, int dirfd, const char* path) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const Fd file(static_cast<int>(call(kSysOpenat2, dirfd, path, &how, sizeof how)));
  struct stat status;
  char line[128] = "";
  if (file.get() >= 0 && fstat(file.get(), &status) == 0) {
    snprintf(line, sizeof line, "%o %u %u %lld %ld", status.st_mode, status.st_uid, status.st_gid,
             static_cast<long long>(status.st_mtim.tv_sec), status.st_mtim.tv_nsec);
  }
  report.item(line);
}

void for_each(const Arg& list, Report& report, int dirfd, void (*look)(Report&, int, const char*)) {
  Reader in(list.list, list.list_size);
  for (uint64_t i = 0; i < list.number; i++) look(report, dirfd, read_text(in).data);
}

// inspect(dirfd, files, paths)
[[noreturn]] void work_inspect(int dirfd, const Call& c) {
  Report report;
  report.open_list("files");
  for_each(c.args[1], report, dirfd, report_file);
  report.close_list();
  report.open_list("paths");
  for_each(c.args[2], report, dirfd, report_status);
  report.close_list();
  report.send();
  _exit(0);
}

// copy(dirfd, to)
[[noreturn]] void work_copy(int dirfd, int to) {
  static char path[PATH_MAX];
  CopyLosses losses;
  const long error = copy_tree(dirfd, to, {image::keeps_attribute, true}, path, &losses);
  if (error != 0) {
    fail({"it cannot be copied", static_cast<int>(-error)}, path);
  }
  Report report;
  report.number("devices", losses.devices);
  report.send();
  _exit(0);
}

// extract(dirfd, paths, max_bytes): those of the paths that exist, as a tar on kOutputFd.
[[noreturn]] void work_extract(int dirfd, const Call& c) {
  image::Extract extract(dirfd, kOutputFd, c.args[2].number);
  Reader in(c.args[1].list, c.args[1].list_size);
  for (uint64_t i = 0; i < c.args[1].number; i++) {
    const char* const path = read_text(in).data;
    if (extract.add(path)) continue;
    fail(extract.failure(), path);
  }
  Report report;
  report.number("entries", extract.entries());
  report.send();
  _exit(0);
}

// compress(offset, size, flags, level): the tar of the archive's descriptor, compressed to kOutputFd, with the digests
// of both.
[[noreturn]] void work_compress(const Call& c) {
  const uint64_t flags = c.args[2].number, offset = c.args[0].number, given = c.args[1].number;
  const uint64_t level = c.args[3].number, there = size_of(kArchiveFd);
  const image::Compression compression = (flags & kImageGzip) != 0   ? image::Compression::kGzip
                                         : (flags & kImageZstd) != 0 ? image::Compression::kZstd
                                                                     : image::Compression::kNone;
  if (!image::can_compress(compression, level)) fail({"there is no such level of compression", EINVAL}, "");
  const uint64_t size = given != 0 ? given : there > offset ? there - offset : 0;
  Report report;
  if ((flags & kImageDescribe) != 0) {
    const image::Description found = image::describe(kArchiveFd, offset, size);
    if (found.failure) fail(found.failure, found.entry);
    report.text("newest", found.newest);
    report.number("machine", found.machine);
  }
  image::Output output(kOutputFd);
  // To a window, a size of 0 would be all of the file.
  image::Window window(kArchiveFd, offset, size);
  image::Stage stage(window.source());
  image::Stage::Tap tap{&stage, 0};
  image::Digest plain(stage, stage.add_reader(0));
  if (size > 0) {
    if (const Failure failure = plain.start(); failure) fail(failure, "");
    if (const Failure failure = stage.start(); failure) fail(failure, "");
  }
  constexpr Source kEmpty = {nullptr, nullptr, nullptr, [](void*, const void**) -> ssize_t { return 0; }};
  const Failure failure =
      image::compress(size > 0 ? image::Stage::source(tap) : kEmpty, size, compression, level, output);
  if (failure) fail(failure, "");
  report.number("size", output.size());
  report.text("sha256", output.digest());
  report.text("plain_sha256", size > 0 ? plain.wait() : codec::kEmptySha256);
  report.number("plain_size", size);
  report.send();
  _exit(0);
}

// pack(dirfd, flags, left_out): the tree as a tar on kOutputFd, without its root and without entries for these folders.
[[noreturn]] void work_pack(int dirfd, const Call& c) {
  const uint64_t flags = c.args[1].number;
  image::PackOptions options;
  options.layer = (flags & kImageLayer) != 0;
  options.opaque = (flags & kImageOpaque) != 0;
  static image::Pack pack(dirfd, kOutputFd, options);
  Reader in(c.args[2].list, c.args[2].list_size);
  for (uint64_t i = 0; i < c.args[2].number; i++) {
    if (!pack.leave_out(read_text(in).data)) fail(pack.failure(), "");
  }
  if (!pack.run()) fail(pack.failure(), pack.entry());
  Report report;
  report.number("entries", pack.entries());
  report.send();
  _exit(0);
}

}  // namespace

long image_call(Context& context, const Call& call, int dirfd, const char* pathname) {
  // The call ends with this process. That the handover is closed tells the launcher that it has begun.
  context.peer.reset();
  umask(0);
  switch (call.op) {
    case Op::kUnpack:
      work_unpack(dirfd, call);
    case Op::kIngest:
      work_ingest(dirfd, pathname, call);
    case Op::kIndex:
      work_index(dirfd, pathname, call);
    case Op::kScan:
      work_scan();
    case Op::kInspect:
      work_inspect(dirfd, call);
    case Op::kExtract:
      work_extract(dirfd, call);
    case Op::kCompress:
      work_compress(call);
    case Op::kPack:
      work_pack(dirfd, call);
    case Op::kSendFiles:
      image::send_files(dirfd, pathname, call.args[2].text.data, call.args[3].number);
    case Op::kTakeFiles:
      image::take_files(dirfd, pathname, call.args[2].text.data, call.args[3].number);
    case Op::kListChanges:
      image::list_changes(dirfd, call.args[1].number < context.slot_count ? context.slots[call.args[1].number] : -1);
    case Op::kCopy: {
      const uint64_t slot = call.args[1].number;
      work_copy(dirfd, slot < context.slot_count ? context.slots[slot] : -1);
    }
    default:
      return -ENOSYS;
  }
}

}  // namespace boxctl
