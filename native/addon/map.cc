#include "map.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string>

#include "../shared/fd.h"
#include "result.h"

namespace boxctl {
namespace {

struct Mapping {
  char* data = nullptr;
  size_t size = 0;
};

// Stays until the process ends. Nothing with errno.
Mapping map_file(const std::string& path, int flags) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return {};
  struct stat status;
  if (fstat(file.get(), &status) != 0) return {};
  const auto size = static_cast<size_t>(status.st_size);
  void* const data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | flags, file.get(), 0);
  if (data == MAP_FAILED) return {};
  return {static_cast<char*>(data), size};
}

// Of Node-API 10; Node 20.4 has it already.
using CreateText = napi_status(NAPI_CDECL*)(napi_env, char*, size_t, napi_finalize, void*, napi_value*, bool*);

CreateText find_create_text() {
  return reinterpret_cast<CreateText>(dlsym(RTLD_DEFAULT, "node_api_create_external_string_latin1"));
}

}  // namespace

Napi::Value map_bytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  // All of it is read at once, and a page fault for each page would take longer than that.
  const Mapping found = map_file(info[0].As<Napi::String>(), MAP_POPULATE);
  if (found.data == nullptr) return fail(env, "mmap", errno);
  return Napi::Buffer<char>::New(env, found.data, found.size);
}

Napi::Value map_text(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const CreateText create = find_create_text();
  if (create == nullptr) return env.Undefined();
  const Mapping found = map_file(info[0].As<Napi::String>(), 0);
  if (found.data == nullptr) return fail(env, "mmap", errno);
  napi_value text = nullptr;
  bool copied = false;
  if (create(env, found.data, found.size, nullptr, nullptr, &text, &copied) != napi_ok) return env.Undefined();
  return {env, text};
}

}  // namespace boxctl
