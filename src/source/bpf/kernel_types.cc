// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The programs are compiled once and adapted to the kernel when they are loaded: libbpf searches
// for each structure that they use in the kernel's BTF, by its name, among some hundred thousand
// types. With forty structures that took 30 ms, longer than the verifier. So libbpf gets BTF with
// only the types that have these names, and the types of their members, which is a few percent of
// the whole. Types behind pointers are not needed, since an access to a member ends at a pointer.
//
// Types have other numbers in this extract. So numbers that a program passes to the kernel are set
// by Programs and not by libbpf: knell_type_ids, and the numbers of the tracepoints and of
// bpf_rdonly_cast(), for which libbpf would read and search the kernel's BTF again.
#include "source/bpf/kernel_types.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"

namespace knell::source {
namespace {

constexpr size_t kMostBytes = size_t{256} << 20;  // far above the size in any kernel
constexpr uint32_t kPointer = UINT32_MAX;         // stands for every pointer

template <class T>
std::optional<T> take(std::string_view bytes, size_t at) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The number of bytes that follow the btf_type; nullopt: the kind is unknown.
std::optional<size_t> bytes_behind(uint32_t kind, size_t members) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return sizeof(uint32_t);
    case BTF_KIND_ARRAY:
      return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
      return members * sizeof(btf_member);
    case BTF_KIND_ENUM:
      return members * sizeof(btf_enum);
    case BTF_KIND_ENUM64:
      return members * sizeof(btf_enum64);
    case BTF_KIND_FUNC_PROTO:
      return members * sizeof(btf_param);
    case BTF_KIND_DATASEC:
      return members * sizeof(btf_var_secinfo);
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
      return 0;
    default:
      return std::nullopt;
  }
}

bool is_named_type(uint32_t kind) {
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
         kind == BTF_KIND_ENUM64 || kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_FWD;
}

std::string_view terminated(std::string_view texts, uint32_t offset) {
  if (offset >= texts.size()) return {};
  const std::string_view rest = texts.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

struct Sections {
  std::string_view types, texts;
};

std::optional<Sections> sections_of(std::string_view btf) {
  const auto head = take<btf_header>(btf, 0);
  if (!head || head->magic != BTF_MAGIC || head->hdr_len > btf.size()) return std::nullopt;
  const std::string_view rest = btf.substr(head->hdr_len);
  const auto part = [&](uint32_t offset, uint32_t bytes) -> std::optional<std::string_view> {
    if (offset > rest.size() || bytes > rest.size() - offset) return std::nullopt;
    return rest.substr(offset, bytes);
  };
  const auto types = part(head->type_off, head->type_len);
  const auto texts = part(head->str_off, head->str_len);
  if (!types || !texts || texts->empty() || texts->back() != '\0') return std::nullopt;
  return Sections{.types = *types, .texts = *texts};
}

// Calls visit(offset, head) for each type. False: the BTF is malformed, or has an unknown kind.
template <class F>
bool for_each_type(std::string_view types, F visit) {
  for (size_t at = 0; at < types.size();) {
    const auto head = take<btf_type>(types, at);
    if (!head) return false;
    const auto behind = bytes_behind(BTF_INFO_KIND(head->info), BTF_INFO_VLEN(head->info));
    if (!behind || types.size() - at - sizeof *head < *behind) return false;
    visit(static_cast<uint32_t>(at), *head);
    at += sizeof *head + *behind;
  }
  return true;
}

// A fast test of the first four bytes of a name, which most unwanted names fail. It is much faster
// than finding the end of the name and looking it up.
class FirstBytes {
 public:
  explicit FirstBytes(const std::vector<std::string_view>& names) {
    for (const std::string_view name : names) {
      std::array<char, kBytes> first{};
      std::memcpy(first.data(), name.data(), std::min(name.size(), kBytes));
      bits_.set(bit_of(first.data()));
    }
  }
  bool may_have(std::string_view texts, uint32_t offset) const {
    return offset + kBytes > texts.size() || bits_.test(bit_of(texts.data() + offset));
  }

 private:
  static constexpr size_t kBytes = 4;
  static constexpr int kBits = 12;
  // Uses the first bytes of the name, up to its NUL.
  static size_t bit_of(const char* first) {
    uint32_t word = 0;
    for (size_t i = 0; i < kBytes && first[i] != '\0'; ++i)
      word |= uint32_t{static_cast<unsigned char>(first[i])} << 8 * i;
    return (word * 0x9e3779b1U) >> (32 - kBits);
  }

  std::bitset<1U << kBits> bits_;
};

}  // namespace

struct KernelTypes::Type {
  btf_type head;
  std::string_view behind;
  uint32_t kind() const { return BTF_INFO_KIND(head.info); }
};

// -------------------------------------------------------------------------------------- the object

std::vector<std::string_view> KernelTypes::names_in(std::string_view elf) {
  const auto head = take<Elf64_Ehdr>(elf, 0);
  if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return {};
  const auto section = [&](size_t index) {
    return take<Elf64_Shdr>(elf, head->e_shoff + index * sizeof(Elf64_Shdr));
  };
  const auto bytes_of = [&](const Elf64_Shdr& at) -> std::string_view {
    if (at.sh_offset > elf.size() || at.sh_size > elf.size() - at.sh_offset) return {};
    return elf.substr(at.sh_offset, at.sh_size);
  };
  const auto names = section(head->e_shstrndx);
  if (!names) return {};
  std::vector<std::string_view> found;
  for (size_t i = 0; i < head->e_shnum; ++i) {
    const auto one = section(i);
    if (!one || terminated(bytes_of(*names), one->sh_name) != ".BTF") continue;
    const auto sections = sections_of(bytes_of(*one));
    if (!sections) return {};
    (void)for_each_type(sections->types, [&](uint32_t, const btf_type& type) {
      if (!is_named_type(BTF_INFO_KIND(type.info))) return;
      const std::string_view name = terminated(sections->texts, type.name_off);
      if (!name.empty()) found.push_back(name.substr(0, name.find("___")));
    });
  }
  return found;
}

// -------------------------------------------------------------------------------------- the kernel

Result<KernelTypes> KernelTypes::read(const char* path,
                                      const std::vector<std::string_view>& names) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(std::string("open ") + path);
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size <= 0 || static_cast<size_t>(size) > kMostBytes)
    return say(EBADMSG, std::string(path) + " has no usable size");
  KernelTypes types;
  types.size_ = static_cast<size_t>(size);
  // From Linux 6.16 on the file can be mapped; before, it is read into memory.
  void* memory = ::mmap(nullptr, types.size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  const bool must_read = memory == MAP_FAILED;
  if (must_read)
    memory = ::mmap(nullptr, types.size_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return errno_error(std::string("read ") + path);
  types.bytes_ = static_cast<const char*>(memory);
  for (size_t at = 0; must_read && at < types.size_;) {
    const ssize_t got = ::pread(fd.get(), static_cast<char*>(memory) + at, types.size_ - at,
                                static_cast<off_t>(at));
    if (got < 0) return errno_error(std::string("read ") + path);
    if (got == 0) return say(EBADMSG, std::string(path) + " is shorter than its size");
    at += static_cast<size_t>(got);
  }
  if (auto parsed = types.parse(names); !parsed)
    return say(EBADMSG, std::string(path) + ": " + parsed.error().message());
  return types;
}

KernelTypes::KernelTypes(KernelTypes&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)),
      size_(other.size_),
      types_(other.types_),
      texts_(other.texts_),
      offsets_(std::move(other.offsets_)),
      found_(std::move(other.found_)) {}

KernelTypes::~KernelTypes() {
  if (bytes_ != nullptr) ::munmap(const_cast<char*>(bytes_), size_);
}

Result<void> KernelTypes::parse(const std::vector<std::string_view>& names) {
  const auto sections = sections_of({bytes_, size_});
  if (!sections) return say(EBADMSG, "not BTF, or of another format");
  types_ = sections->types;
  texts_ = sections->texts;
  for (const std::string_view name : names) found_[name];
  const FirstBytes wanted(names);
  offsets_.reserve(types_.size() / 32);  // the average type is larger than that
  offsets_.push_back(0);
  const bool whole = for_each_type(types_, [&](uint32_t offset, const btf_type& type) {
    const uint32_t kind = BTF_INFO_KIND(type.info);
    if (type.name_off != 0 && (is_named_type(kind) || kind == BTF_KIND_FUNC) &&
        wanted.may_have(texts_, type.name_off)) {
      const auto of = found_.find(terminated(texts_, type.name_off));
      if (of != found_.end()) of->second.push_back(static_cast<uint32_t>(offsets_.size()));
    }
    offsets_.push_back(offset);
  });
  if (!whole) return say(EBADMSG, "BTF has types of an unknown kind");
  return {};
}

KernelTypes::Type KernelTypes::at(uint32_t id) const {
  if (id == 0 || id >= offsets_.size()) return {};
  Type type{};
  const size_t offset = offsets_[id];
  std::memcpy(&type.head, types_.data() + offset, sizeof type.head);
  type.behind = types_.substr(offset + sizeof type.head,
                              *bytes_behind(type.kind(), BTF_INFO_VLEN(type.head.info)));
  return type;
}

std::string_view KernelTypes::text(uint32_t offset) const { return terminated(texts_, offset); }

uint32_t KernelTypes::id_of(std::string_view name, uint32_t kind) const {
  const auto of = found_.find(name);
  if (of == found_.end()) return 0;
  for (const uint32_t id : of->second)
    if (at(id).kind() == kind) return id;
  return 0;
}

uint32_t KernelTypes::id_of_structure(std::string_view name) const {
  return id_of(name, BTF_KIND_STRUCT);
}

uint32_t KernelTypes::id_of_function(std::string_view name) const {
  return id_of(name, BTF_KIND_FUNC);
}

uint32_t KernelTypes::id_of_definition(std::string_view name) const {
  return id_of(name, BTF_KIND_TYPEDEF);
}

std::optional<size_t> KernelTypes::parameters_of(std::string_view name) const {
  const auto of = found_.find(name);
  if (of == found_.end()) return std::nullopt;
  for (const uint32_t id : of->second) {
    const Type definition = at(id);
    if (definition.kind() != BTF_KIND_TYPEDEF) continue;
    const Type pointer = at(definition.head.type);
    if (pointer.kind() != BTF_KIND_PTR) continue;
    const Type function = at(pointer.head.type);
    if (function.kind() == BTF_KIND_FUNC_PROTO) return BTF_INFO_VLEN(function.head.info);
  }
  return std::nullopt;
}

// ---------------------------------------------------------------------------------------
// extracting

// Gives each type its new number at the first reference; types are written in this order.
class KernelTypes::Cut {
 public:
  explicit Cut(const KernelTypes& from) : from_(from), texts_(1, '\0') {}

  void add(uint32_t id) { (void)number_of(id); }

  std::string finish() {
    for (size_t i = 0; i < order_.size(); ++i) write(order_[i]);
    btf_header head{};
    head.magic = BTF_MAGIC;
    head.version = BTF_VERSION;
    head.hdr_len = sizeof head;
    head.type_len = static_cast<uint32_t>(types_.size());
    head.str_off = head.type_len;
    head.str_len = static_cast<uint32_t>(texts_.size());
    std::string out;
    put(out, head);
    return out + types_ + texts_;
  }

 private:
  uint32_t number_of(uint32_t id) {
    const uint32_t kind = id == kPointer ? 0U : from_.at(id).kind();
    if (kind == BTF_KIND_PTR) id = kPointer;
    // Programs read nothing inside these types.
    if (id == 0 || kind == BTF_KIND_FUNC || kind == BTF_KIND_FUNC_PROTO) return 0;
    const auto [at, made] = numbers_.try_emplace(id, static_cast<uint32_t>(order_.size() + 1));
    if (made) order_.push_back(id);
    return at->second;
  }

  uint32_t text(uint32_t offset) {
    const std::string_view text = from_.text(offset);
    if (text.empty()) return 0;
    const auto [at, made] = places_.try_emplace(text, static_cast<uint32_t>(texts_.size()));
    if (made) texts_.append(text).push_back('\0');
    return at->second;
  }

  template <class T, class F>
  void write_each(std::string_view behind, F change) {
    for (size_t at = 0; at + sizeof(T) <= behind.size(); at += sizeof(T)) {
      T part = *take<T>(behind, at);
      change(part);
      put(types_, part);
    }
  }

  void write(uint32_t id) {
    Type type = id == kPointer ? Type{} : from_.at(id);
    btf_type& head = type.head;
    if (id == kPointer) head.info = BTF_KIND_PTR << 24;
    head.name_off = text(head.name_off);
    switch (type.kind()) {
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_CONST:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPE_TAG:
        head.type = number_of(head.type);
        break;
      default:
        break;  // this field is a size, or not used
    }
    put(types_, head);
    const auto rename = [&](auto& part) { part.name_off = text(part.name_off); };
    switch (type.kind()) {
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
        return write_each<btf_member>(type.behind, [&](btf_member& member) {
          rename(member);
          member.type = number_of(member.type);
        });
      case BTF_KIND_ARRAY:
        return write_each<btf_array>(type.behind, [&](btf_array& array) {
          array.type = number_of(array.type);
          array.index_type = number_of(array.index_type);
        });
      case BTF_KIND_ENUM:
        return write_each<btf_enum>(type.behind, rename);
      case BTF_KIND_ENUM64:
        return write_each<btf_enum64>(type.behind, rename);
      default:
        types_.append(type.behind);
    }
  }

  const KernelTypes& from_;
  std::string types_, texts_;
  std::vector<uint32_t> order_;  // the kernel's numbers; the first element has number 1 here
  std::unordered_map<uint32_t, uint32_t> numbers_;
  std::unordered_map<std::string_view, uint32_t> places_;
};

std::string KernelTypes::cut() const {
  std::vector<uint32_t> ids;
  for (const auto& [name, of] : found_) ids.insert(ids.end(), of.begin(), of.end());
  std::ranges::sort(ids);
  Cut cut(*this);
  for (const uint32_t id : ids) cut.add(id);
  return cut.finish();
}

}  // namespace knell::source
