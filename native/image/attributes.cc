#include "attributes.h"

#include <sys/stat.h>

#include "names.h"

namespace boxctl::image {

namespace {

// An attribute with its name as EROFS writes it, and its value.
struct Attribute {
  uint8_t index;
  const char* name;
  size_t name_size;
  const uint8_t* value;
  size_t size;

  bool same_name(const Attribute& other) const {
    return index == other.index && name_size == other.name_size && memcmp(name, other.name, name_size) == 0;
  }
};

// struct posix_acl_xattr_header and _entry of linux/posix_acl_xattr.h.
constexpr uint32_t kAclVersion = 2;
struct AclEntry {
  uint16_t tag;
  uint16_t perm;
  uint32_t id;
};
static_assert(sizeof(AclEntry) == 8);
enum AclTag : uint16_t { kUserObj = 1, kUser = 2, kGroupObj = 4, kGroup = 8, kMask = 16, kOther = 32 };

enum class Acl { kBad, kEmpty, kMinimal, kExtended };

// What posix_acl_valid() of the kernel asks for: the owner, users, the owning group, groups, a mask if there are users
// or groups, the others.
Acl check_acl(const uint8_t* value, size_t size) {
  if (size == 0) return Acl::kEmpty;
  uint32_t version;
  if (size < sizeof version || (size - sizeof version) % sizeof(AclEntry) != 0) return Acl::kBad;
  memcpy(&version, value, sizeof version);
  if (version != kAclVersion) return Acl::kBad;
  const size_t count = (size - sizeof version) / sizeof(AclEntry);
  if (count == 0) return Acl::kEmpty;
  bool needs_mask = false;
  uint16_t last = 0;
  for (size_t i = 0; i < count; i++) {
    AclEntry entry;
    memcpy(&entry, value + sizeof version + i * sizeof entry, sizeof entry);
    if (entry.perm > 7) return Acl::kBad;
    switch (entry.tag) {
      case kUserObj:
        if (last != 0) return Acl::kBad;
        break;
      case kUser:
      case kGroup:
        if (last != (entry.tag == kUser ? kUserObj : kGroupObj) && last != entry.tag) return Acl::kBad;
        if (entry.id > tar::kMaxId) return Acl::kBad;
        needs_mask = true;
        break;
      case kGroupObj:
        if (last != kUserObj && last != kUser) return Acl::kBad;
        break;
      case kMask:
        if (last != kGroupObj && last != kGroup) return Acl::kBad;
        break;
      case kOther:
        if (last != kMask && (needs_mask || last != kGroupObj)) return Acl::kBad;
        break;
      default:
        return Acl::kBad;
    }
    last = entry.tag;
  }
  if (last != kOther) return Acl::kBad;
  return count == 3 ? Acl::kMinimal : Acl::kExtended;
}

// chmod(2) gives the entries of the owner, of the mask or else of the group, and of the others the mode's bits.
void apply_mode(uint8_t* value, size_t size, mode_t mode) {
  AclEntry entry;
  uint8_t* group = nullptr;
  for (uint8_t* at = value + 4; at < value + size; at += sizeof entry) {
    memcpy(&entry, at, sizeof entry);
    if (entry.tag == kGroupObj) group = at;
    if (entry.tag == kUserObj) entry.perm = mode >> 6 & 7;
    if (entry.tag == kMask) {
      entry.perm = mode >> 3 & 7;
      group = nullptr;
    }
    if (entry.tag == kOther) entry.perm = mode & 7;
    memcpy(at, &entry, sizeof entry);
  }
  if (group == nullptr) return;
  memcpy(&entry, group, sizeof entry);
  entry.perm = mode >> 3 & 7;
  memcpy(group, &entry, sizeof entry);
}

// As cap_convert_nscap() of the kernel: revision 2, or 3 with the user that is root where it counts.
bool good_capability(const uint8_t* value, size_t size) {
  if (size != 20 && size != 24) return false;
  uint32_t magic;
  memcpy(&magic, value, sizeof magic);
  return (magic & ~uint32_t{1}) == (size == 20 ? 0x02000000 : 0x03000000);
}

enum class Verdict { kKept, kSkipped, kNothing };

Verdict look_at(const tar::Xattr& xattr, bool folder, Attribute& out) {
  if (!keeps_attribute(xattr.name) || xattr.size > UINT16_MAX || strlen(xattr.name) > kMaxXattrName) {
    return Verdict::kSkipped;
  }
  out.value = reinterpret_cast<const uint8_t*>(xattr.value);
  out.size = xattr.size;
  const auto begins = [&](const char* prefix, uint8_t index) {
    const size_t length = strlen(prefix);
    if (strncmp(xattr.name, prefix, length) != 0 || xattr.name[length] == 0) return false;
    out.index = index;
    out.name = xattr.name + length;
    out.name_size = strlen(out.name);
    return true;
  };
  if (begins("user.", erofs::kXattrUser) || begins("trusted.", erofs::kXattrTrusted)) return Verdict::kKept;
  if (begins("security.", erofs::kXattrSecurity)) {
    return good_capability(out.value, out.size) ? Verdict::kKept : Verdict::kSkipped;
  }
  const bool access = strcmp(xattr.name, "system.posix_acl_access") == 0;
  if (!access && strcmp(xattr.name, "system.posix_acl_default") != 0) return Verdict::kSkipped;
  out.index = access ? erofs::kXattrAclAccess : erofs::kXattrAclDefault;
  out.name = "";
  out.name_size = 0;
  const Acl acl = check_acl(out.value, out.size);
  // What new files inherit is a matter of folders.
  if (acl == Acl::kBad || (!access && !folder && acl != Acl::kEmpty)) return Verdict::kSkipped;
  // An access list that says no more than the mode is not kept, and takes an earlier one away.
  if (acl == Acl::kEmpty || (access && acl == Acl::kMinimal)) out.size = 0;
  return out.size == 0 ? Verdict::kNothing : Verdict::kKept;
}

bool append(const Attribute& attribute, List<uint8_t>& out) {
  const erofs::XattrEntry entry = {static_cast<uint8_t>(attribute.name_size), attribute.index,
                                   static_cast<uint16_t>(attribute.size)};
  static constexpr uint8_t kZeroes[4] = {};
  const size_t size = sizeof entry + attribute.name_size + attribute.size;
  return out.add(reinterpret_cast<const uint8_t*>(&entry), sizeof entry) &&
         out.add(reinterpret_cast<const uint8_t*>(attribute.name), attribute.name_size) &&
         out.add(attribute.value, attribute.size) && out.add(kZeroes, (4 - size % 4) % 4);
}

}  // namespace

Attributes encode_attributes(const tar::Entry& entry, mode_t mode, const uint8_t* before, size_t before_size,
                             List<uint8_t>& out, uint64_t& skipped) {
  Attribute fresh[tar::kMaxXattrs];
  size_t count = 0;
  // Of several with one name, the last one counts; an ACL without entries removes the attribute.
  for (size_t i = 0; i < entry.xattr_count; i++) {
    Attribute attribute;
    const Verdict verdict = look_at(entry.xattrs[i], S_ISDIR(mode), attribute);
    if (verdict == Verdict::kSkipped) {
      skipped++;
      continue;
    }
    size_t at = 0;
    while (at < count && !fresh[at].same_name(attribute)) at++;
    if (at == count) count++;
    fresh[at] = attribute;
    if (verdict == Verdict::kNothing) fresh[at].value = nullptr;
  }

  const size_t start = out.size();
  // `before` may lie in `out`, which moves when it grows.
  List<uint8_t> kept;
  if (!kept.add(before, before_size)) return Attributes::kNoMemory;
  for (size_t at = 0; at < kept.size();) {
    erofs::XattrEntry head;
    memcpy(&head, kept.begin() + at, sizeof head);
    const uint8_t* const name = kept.begin() + at + sizeof head;
    const Attribute old = {head.e_name_index, reinterpret_cast<const char*>(name), head.e_name_len,
                           name + head.e_name_len, head.e_value_size};
    const size_t size = sizeof head + head.e_name_len + head.e_value_size;
    at += size + (4 - size % 4) % 4;
    bool replaced = false;
    for (size_t i = 0; i < count; i++) replaced = replaced || fresh[i].same_name(old);
    if (!replaced && !append(old, out)) return Attributes::kNoMemory;
  }
  for (size_t i = 0; i < count; i++) {
    if (fresh[i].value != nullptr && !append(fresh[i], out)) return Attributes::kNoMemory;
  }
  for (size_t at = start; at < out.size();) {
    erofs::XattrEntry head;
    memcpy(&head, out.begin() + at, sizeof head);
    if (head.e_name_index == erofs::kXattrAclAccess) {
      apply_mode(out.begin() + at + sizeof head, head.e_value_size, mode);
    }
    const size_t size = sizeof head + head.e_name_len + head.e_value_size;
    at += size + (4 - size % 4) % 4;
  }
  return out.size() - start > kMaxAttributes ? Attributes::kTooLarge : Attributes::kDone;
}

}  // namespace boxctl::image
