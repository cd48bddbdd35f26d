#include "walk.h"

#include <string.h>

namespace boxctl::image {

bool is_root(const char* path) { return path[strspn(path, "./")] == 0 && strstr(path, "..") == nullptr; }

bool begins_image(const char* path) {
  while (strncmp(path, "./", 2) == 0) path += 2;
  const size_t length = strcspn(path, "/");
  const auto is = [&](const char* name) { return strlen(name) == length && strncmp(path, name, length) == 0; };
  if (is("blobs") || is("manifest.json") || is("index.json") || is("oci-layout") || is("repositories")) return true;
  // `docker save` of old and `podman save`: a folder or a tar for each layer, and the configuration, named by digests.
  constexpr size_t kDigest = 64;
  if (strspn(path, "0123456789abcdef") != kDigest) return false;
  const char* const rest = path + kDigest;
  return length == kDigest || strcmp(rest, ".json") == 0 || strcmp(rest, ".tar") == 0;
}

}  // namespace boxctl::image
