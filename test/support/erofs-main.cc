// The index of an archive as a program, with what a test needs to look at it:
//   erofs-main index TAR OFFSET SIZE INDEX WHITEOUTS [ENTRIES BYTES INDEX_BYTES]
//                                        reports on standard output; a SIZE of - is the rest
//   erofs-main mount INDEX TAR TARGET    as root: mounts the pair, given by any path (/proc/self/fd/N, too)
//   erofs-main snapshot DIR              a line for each file, with all that can be compared
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "../../native/image/erofs.h"
#include "../../native/shared/fd.h"

namespace {

using namespace boxctl;
using namespace boxctl::image;

void put_text(const char* text) {
  putchar('"');
  for (; *text != 0; text++) {
    const auto byte = static_cast<unsigned char>(*text);
    if (byte == '"' || byte == '\\') {
      printf("\\%c", byte);
    } else if (byte < 0x20 || byte == 0x7f) {
      printf("\\u%04x", byte);
    } else {
      putchar(byte);
    }
  }
  putchar('"');
}

int index(int argc, char** argv) {
  const Fd tar(open(argv[2], O_RDONLY | O_CLOEXEC)), out(open(argv[5], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!tar.valid() || !out.valid()) return 2;
  IndexOptions options;
  options.walk.whiteouts = static_cast<Whiteouts>(atoi(argv[6]));
  if (argc == 10) {
    options.walk.entries = strtoull(argv[7], nullptr, 10);
    options.bytes = strtoull(argv[8], nullptr, 10);
    options.index_bytes = strtoull(argv[9], nullptr, 10);
  }
  const uint64_t offset = strtoull(argv[3], nullptr, 10);
  struct stat stat;
  if (fstat(tar.get(), &stat) != 0) return 2;
  const uint64_t left = static_cast<uint64_t>(stat.st_size) - offset;
  const uint64_t size = strcmp(argv[4], "-") == 0 ? left : strtoull(argv[4], nullptr, 10);
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  static Index made(options);
  const int tar_fd = tar.get(), out_fd = out.get();
  index_tar(made, tar_fd, offset, size, out_fd);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const IndexReport& report = made.report();
  if (report.outcome == Outcome::kDone) {
    printf("{\"ok\":true,\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"skipped\":%" PRIu64, report.entries,
           report.bytes, report.skipped);
    printf(",\"opaqueRoot\":%s,\"implied\":[", report.opaque_root ? "true" : "false");
    const auto put_path = [](void* context, const char* path) {
      bool& first_path = *static_cast<bool*>(context);
      if (!first_path) putchar(',');
      first_path = false;
      put_text(path);
      return true;
    };
    bool first = true;
    made.implied(put_path, &first);
    printf("],\"wanted\":[");
    first = true;
    made.wanted(put_path, &first);
    printf("],\"microseconds\":%ld}\n",
           (after.tv_sec - before.tv_sec) * 1'000'000 + (after.tv_nsec - before.tv_nsec) / 1000);
    return 0;
  }
  printf("{\"ok\":false,\"unsuitable\":%s,\"error\":", report.outcome == Outcome::kUnsuitable ? "true" : "false");
  put_text(report.failure.sentence);
  printf(",\"entry\":");
  put_text(report.entry);
  printf(",\"errno\":%d}\n", report.failure.number);
  return 1;
}

constexpr long kFsopen = 430, kFsconfig = 431, kFsmount = 432, kMoveMount = 429;

int fail(const char* what, long result) {
  fprintf(stderr, "%s: %s\n", what, strerrorname_np(static_cast<int>(-result)));
  return 1;
}

int mount(char** argv) {
  const long context = call(kFsopen, "erofs", FSOPEN_CLOEXEC);
  if (context < 0) return fail("fsopen", context);
  const auto set = [&](const char* key, const char* value) {
    return call(kFsconfig, context, FSCONFIG_SET_STRING, key, value, 0);
  };
  if (const long result = set("source", argv[2]); result < 0) return fail("source", result);
  if (const long result = set("device", argv[3]); result < 0) return fail("device", result);
  if (const long result = call(kFsconfig, context, FSCONFIG_SET_FLAG, "ro", nullptr, 0); result < 0) {
    return fail("ro", result);
  }
  if (const long result = call(kFsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0); result < 0) {
    return fail("create", result);
  }
  const long mounted = call(kFsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
  if (mounted < 0) return fail("fsmount", mounted);
  const long moved = call(kMoveMount, mounted, "", AT_FDCWD, argv[4], MOVE_MOUNT_F_EMPTY_PATH);
  return moved < 0 ? fail("move_mount", moved) : 0;
}

// Inodes with more than one name: the first name stands for all.
struct Seen {
  dev_t device;
  ino_t inode;
  char* path;
};
List<Seen> seen;

void put_hex(const char* bytes, size_t size) {
  for (size_t i = 0; i < size; i++) printf("%02x", static_cast<unsigned char>(bytes[i]));
}

void put_name(const char* name) {
  for (; *name != 0; name++) {
    const auto byte = static_cast<unsigned char>(*name);
    if (byte <= 0x20 || byte >= 0x7f || byte == '\\') {
      printf("\\%03o", byte);
    } else {
      putchar(byte);
    }
  }
}

void put_attributes(const char* path) {
  static char names[1 << 16], value[1 << 16];
  const ssize_t size = llistxattr(path, names, sizeof names);
  if (size < 0) {
    if (errno != ENOTSUP) printf(" llistxattr=%s", strerrorname_np(errno));
    return;
  }
  const char* list[1024];
  size_t count = 0;
  for (const char* at = names; at < names + size && count < 1024; at += strlen(at) + 1) list[count++] = at;
  std::sort(list, list + count, [](const char* a, const char* b) { return strcmp(a, b) < 0; });
  for (size_t i = 0; i < count; i++) {
    printf(" ");
    put_name(list[i]);
    const ssize_t got = lgetxattr(path, list[i], value, sizeof value);
    if (got < 0) {
      printf("=%s", strerrorname_np(errno));
    } else {
      printf("=");
      put_hex(value, static_cast<size_t>(got));
    }
  }
}

// A fingerprint of what is not zero, by its place: holes need not be read, and need not lie alike.
void put_contents(int dirfd, const char* name, off_t size) {
  static uint8_t buffer[1 << 20];
  static constexpr size_t kPiece = 512;
  static constexpr uint8_t kZeroes[kPiece] = {};
  const Fd fd(openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) {
    printf(" open=%s", strerrorname_np(errno));
    return;
  }
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001b3; };
  for (off_t at = 0; at < size;) {
    const off_t found = lseek(fd.get(), at, SEEK_DATA);
    if (found < 0) break;
    at = found / static_cast<off_t>(kPiece) * static_cast<off_t>(kPiece);
    const ssize_t got = pread(fd.get(), buffer, sizeof buffer, at);
    if (got <= 0) {
      printf(" read=%s@%ld", got < 0 ? strerrorname_np(errno) : "end", at);
      return;
    }
    for (size_t i = 0; i < static_cast<size_t>(got); i += kPiece) {
      const size_t piece = static_cast<size_t>(got) - i < kPiece ? static_cast<size_t>(got) - i : kPiece;
      if (memcmp(buffer + i, kZeroes, piece) == 0) continue;
      mix(static_cast<uint64_t>(at) + i);
      for (size_t k = 0; k < piece; k++) mix(buffer[i + k]);
    }
    at += got;
  }
  printf(" %016" PRIx64, hash);
}

// Goes by descriptors: a tree may be deeper than a path can be long.
void snapshot(int dirfd, const char* name, const char* path) {
  struct stat stat;
  if (fstatat(dirfd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
    put_name(path);
    printf(" stat=%s\n", strerrorname_np(errno));
    return;
  }
  put_name(path);
  printf(" %06o %u:%u links=%lu mtime=%ld.%09ld", stat.st_mode, stat.st_uid, stat.st_gid,
         static_cast<unsigned long>(stat.st_nlink), stat.st_mtim.tv_sec, stat.st_mtim.tv_nsec);
  if (S_ISCHR(stat.st_mode) || S_ISBLK(stat.st_mode)) printf(" %u,%u", major(stat.st_rdev), minor(stat.st_rdev));
  if (S_ISREG(stat.st_mode)) {
    printf(" size=%ld", stat.st_size);
    put_contents(dirfd, name, stat.st_size);
  }
  if (S_ISLNK(stat.st_mode)) {
    static char target[8192];
    const ssize_t size = readlinkat(dirfd, name, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    printf(" -> ");
    put_name(target);
    printf(" size=%ld", stat.st_size);
  }
  if (!S_ISDIR(stat.st_mode) && stat.st_nlink > 1) {
    const auto* known = std::find_if(seen.begin(), seen.end(), [&](const Seen& other) {
      return other.device == stat.st_dev && other.inode == stat.st_ino;
    });
    if (known == seen.end()) {
      seen.add({stat.st_dev, stat.st_ino, strdup(path)});
    } else {
      printf(" same=");
      put_name(known->path);
    }
  }
  char self[320];
  snprintf(self, sizeof self, "/proc/self/fd/%d/%s", dirfd, name);
  put_attributes(self);
  putchar('\n');
  if (!S_ISDIR(stat.st_mode)) return;
  const int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* const dir = fd < 0 ? nullptr : fdopendir(fd);
  if (dir == nullptr) {
    put_name(path);
    printf(" opendir=%s\n", strerrorname_np(errno));
    return;
  }
  List<char*> names;
  while (errno = 0, true) {
    const struct dirent* const entry = readdir(dir);
    if (entry == nullptr) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    names.add(strdup(entry->d_name));
  }
  if (errno != 0) {
    put_name(path);
    printf(" readdir=%s\n", strerrorname_np(errno));
  }
  std::sort(names.begin(), names.end(), [](const char* a, const char* b) { return strcmp(a, b) < 0; });
  for (char* const child : names) {
    const size_t size = strlen(path) + strlen(child) + 2;
    char* const whole = static_cast<char*>(malloc(size));
    snprintf(whole, size, "%s/%s", path, child);
    snapshot(fd, child, whole);
    free(whole);
    free(child);
  }
  closedir(dir);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 7 && strcmp(argv[1], "index") == 0) return index(argc, argv);
  if (argc == 5 && strcmp(argv[1], "mount") == 0) return mount(argv);
  if (argc == 3 && strcmp(argv[1], "snapshot") == 0) {
    const Fd root(open(argv[2], O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return 2;
    snapshot(root.get(), ".", ".");
    for (const Seen& file : seen) free(file.path);
    return 0;
  }
  return 2;
}
