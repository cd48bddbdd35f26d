#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "../wire/descriptors.h"
#include "../wire/flags.h"
#include "archive.h"
#include "beneath.h"
#include "find.h"
#include "pack.h"
#include "report.h"
#include "unpack.h"

namespace boxctl::image {
namespace {

[[noreturn]] void fail(const Failure& failure, const char* entry = "") {
  report_failure(failure, entry);
  _exit(1);
}

Fd open_folder(const Found& found) {
  constexpr uint64_t kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
  Fd folder(static_cast<int>(open_beneath(found.folder.get(), found.name, kFlags)));
  if (!folder.valid()) fail({"the folder cannot be opened", -folder.get()});
  return folder;
}

// Where the entries go: the folder, and what takes the place of their first name.
struct Target {
  Fd folder;
  const char* top;
};

// By docker's rules (docker-container-cp(1)).
Target target_of(Found& found, const char* name, uint64_t flags) {
  const bool folder = (flags & kFilesFolder) != 0;
  if ((flags & kFilesTar) != 0) {
    if (found.kind == Kind::kMissing) fail({"the folder does not exist", ENOENT});
    if (found.kind != Kind::kFolder) fail({"it is no folder", ENOTDIR});
    return {open_folder(found), nullptr};
  }
  if (found.kind == Kind::kFolder) return {open_folder(found), name};
  if (found.kind == Kind::kOther && folder) fail({"a folder cannot be copied over a file", ENOTDIR});
  if (found.kind == Kind::kMissing && found.must_be_folder && !folder) fail({"the folder does not exist", ENOENT});
  if (found.kind == Kind::kOther && found.must_be_folder) fail({"it is no folder", ENOTDIR});
  return {std::move(found.folder), found.name};
}

}  // namespace

void send_files(int root, const char* path, const char* as, uint64_t flags) {
  Found found;
  if (const Failure failure = find(root, path, (flags & kFilesFollow) != 0, found); failure) fail(failure);
  if (found.kind == Kind::kMissing) fail({"there is no such file or folder", ENOENT});
  const bool folder = found.kind == Kind::kFolder;
  if (!folder && found.must_be_folder) fail({"it is no folder", ENOTDIR});
  if (folder && (flags & kFilesNoFolder) != 0) fail({"a folder cannot be copied over a file", ENOTDIR});
  if (!folder && (flags & kFilesFolder) != 0) fail({"the folder to copy it to does not exist", ENOENT});
  // Where the reader is gone, the error of writing says so.
  signal(SIGPIPE, SIG_IGN);
  const Fd opened = folder ? open_folder(found) : std::move(found.folder);
  PackOptions options;
  options.live = true;
  options.prefix = as;
  static Pack pack(opened.get(), kOutputFd, options);
  if (!pack.run(folder ? "." : found.name)) fail(pack.failure(), pack.entry());
  Report report;
  report.number("entries", pack.entries());
  report.number("skipped", pack.skipped());
  report.number("changed", pack.changed());
  report.send();
  _exit(0);
}

void take_files(int root, const char* path, const char* name, uint64_t flags) {
  Found found;
  if (const Failure failure = find(root, path, true, found); failure) fail(failure);
  const Target target = target_of(found, name, flags);
  Archive archive(kArchiveFd, 0, 0, Archive::Digests::kNone);
  if (!archive.start()) fail(archive.failure());
  UnpackOptions options;
  options.walk.entries = UINT64_MAX;
  options.walk.top = target.top;
  options.bytes = UINT64_MAX;
  options.links_below = false;
  options.live = true;
  if ((flags & kFilesOwners) == 0) options.owners.keep_makers();
  const Unpacked result = unpack(target.folder.get(), archive.tap(), options);
  // What failed there is the cause of what failed here.
  if (result.failure) {
    const Failure cause = archive.failure();
    fail(cause ? cause : result.failure, cause ? "" : result.entry);
  }
  Report report;
  report.number("entries", result.entries);
  report.number("bytes", result.bytes);
  report.number("squashed", result.squashed);
  report.number("skipped", result.skipped);
  report.send();
  _exit(0);
}

}  // namespace boxctl::image
