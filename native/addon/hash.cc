#include "hash.h"

#include "../codec/sha256.h"

namespace boxctl {

Napi::Value sha256(const Napi::CallbackInfo& info) {
  const auto data = info[0].As<Napi::Uint8Array>();
  codec::Sha256 hash;
  hash.update(data.Data(), data.ByteLength());
  char hex[codec::Sha256::kHexSize];
  hash.finish(hex);
  return Napi::String::New(info.Env(), hex);
}

}  // namespace boxctl
