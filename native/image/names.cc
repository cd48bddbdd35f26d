#include "names.h"

#include <stdio.h>
#include <string.h>

namespace boxctl::image {

bool normalise(const char* from, Path& path) {
  // The folder and the name share the text: the last slash becomes the end of the folder.
  size_t at = 0, last = 0;
  bool any = false;
  while (*from != 0) {
    while (*from == '/') from++;
    const size_t length = strcspn(from, "/");
    if (length == 0) break;
    if (length == 2 && from[0] == '.' && from[1] == '.') return false;
    if (!(length == 1 && from[0] == '.')) {
      if (any) path.text[at++] = '/';
      last = at;
      memcpy(path.text + at, from, length);
      at += length;
      any = true;
    }
    from += length;
  }
  path.text[at] = 0;
  path.folder = "";
  path.name = path.text + last;
  if (last > 0) {
    path.text[last - 1] = 0;
    path.folder = path.text;
  }
  return true;
}

void join(const Path& path, char (&whole)[tar::kMaxPath + 1]) {
  snprintf(whole, sizeof whole, "%s%s%s", path.folder, *path.folder == 0 ? "" : "/", path.name);
}

bool rename_top(Path& path, const char* top) {
  char whole[tar::kMaxPath + 1], renamed[tar::kMaxPath];
  join(path, whole);
  const char* const rest = whole + strcspn(whole, "/");
  const int size = snprintf(renamed, sizeof renamed, "%s%s", top, rest);
  return size >= 0 && static_cast<size_t>(size) < sizeof renamed && normalise(renamed, path);
}

bool keeps_attribute(const char* name) {
  if (strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0) return false;
  if (strncmp(name, "security.", 9) == 0) return strcmp(name, "security.capability") == 0;
  return true;
}

LayerName layer_name(const char* name) {
  if (strncmp(name, ".wh.", kWhiteoutPrefix) != 0) return LayerName::kPlain;
  name += kWhiteoutPrefix;
  if (strcmp(name, ".wh..opq") == 0) return LayerName::kOpaque;
  if (strncmp(name, ".wh.", kWhiteoutPrefix) == 0) return LayerName::kMeta;
  if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return LayerName::kBad;
  return LayerName::kWhiteout;
}

bool layer_path(const Path& path, LayerName& kind) {
  constexpr size_t kMaxName = 255;
  for (const char* name = path.folder; *name != 0;) {
    char text[kMaxName + 1];
    const size_t length = strcspn(name, "/");
    const size_t kept = length < kMaxName ? length : kMaxName;
    memcpy(text, name, kept);
    text[kept] = 0;
    kind = layer_name(text);
    if (kind == LayerName::kMeta) return true;
    if (kind != LayerName::kPlain) return false;
    name += length;
    if (*name == '/') name++;
  }
  kind = layer_name(path.name);
  return true;
}

}  // namespace boxctl::image
