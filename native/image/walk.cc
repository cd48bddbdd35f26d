#include "walk.h"

#include <string.h>

#include <string_view>

namespace boxctl::image {

namespace {

bool is_digest(std::string_view text) {
  constexpr size_t kHexDigits = 64;
  return text.size() >= kHexDigits && text.substr(0, kHexDigits).find_first_not_of("0123456789abcdef") == text.npos;
}

// Names that tools put first: docker and podman a folder, a tar or a configuration for each layer; crane and ko
// `sha256:…` and `….tar.gz`; jib `config.json`; all of them perhaps the manifest.
bool comes_first(std::string_view name) {
  constexpr std::string_view kAlgorithm = "sha256:";
  for (const char* known :
       {"blobs", "manifest.json", "index.json", "oci-layout", "repositories", "config.json", "version.json"}) {
    if (name == known) return true;
  }
  return is_digest(name) || (name.starts_with(kAlgorithm) && is_digest(name.substr(kAlgorithm.size())));
}

}  // namespace

void ImageSigns::see(const tar::Entry& entry) {
  const char* start = entry.path;
  while (*start == '/' || (*start == '.' && (start[1] == '/' || start[1] == 0))) start++;
  const std::string_view top(start, strcspn(start, "/"));
  // The root, `./`, says nothing of what the archive holds.
  if (top.empty()) return;
  if (first_) likely_ = comes_first(top);
  first_ = false;
  if (start[top.size()] != 0 || entry.type == tar::Type::kDirectory) return;
  manifest_ |= top == "manifest.json";
  index_ |= top == "index.json";
  layout_ |= top == "oci-layout";
}

}  // namespace boxctl::image
