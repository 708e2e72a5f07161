// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/kernel_types.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace knell::source {
namespace {

constexpr char kVmlinux[] = "/sys/kernel/btf/vmlinux";

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

Btf parsed(const std::string& bytes) {
  return Btf(btf__new(bytes.data(), static_cast<__u32>(bytes.size())));
}

// A temporary file with this content.
class File {
 public:
  explicit File(std::string_view bytes) : fd_(::memfd_create("btf", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(fd_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    path_ = "/proc/self/fd/" + std::to_string(fd_.get());
  }
  const char* path() const { return path_.c_str(); }

 private:
  UniqueFd fd_;
  std::string path_;
};

// struct other { int x; }; struct inner { const long a; }; typedef struct inner inner_t;
// struct outer { struct other *p; inner_t in[2]; union { int bits : 3; }; };
// typedef int (*callback)(int, long, int); and a function `helper`.
std::string some_types() {
  const Btf types(btf__new_empty());
  btf* all = types.get();
  const int number = btf__add_int(all, "int", 4, BTF_INT_SIGNED);
  const int big = btf__add_int(all, "long", 8, BTF_INT_SIGNED);
  const int other = btf__add_struct(all, "other", 4);
  btf__add_field(all, "x", number, 0, 0);
  const int pointer = btf__add_ptr(all, other);
  const int fixed = btf__add_const(all, big);
  const int inner = btf__add_struct(all, "inner", 8);
  btf__add_field(all, "a", fixed, 0, 0);
  const int defined = btf__add_typedef(all, "inner_t", inner);
  const int array = btf__add_array(all, number, defined, 2);
  const int either = btf__add_union(all, nullptr, 4);
  btf__add_field(all, "bits", number, 0, 3);
  btf__add_struct(all, "outer", 32);
  btf__add_field(all, "p", pointer, 0, 0);
  btf__add_field(all, "in", array, 64, 0);
  btf__add_field(all, nullptr, either, 192, 0);
  const int function = btf__add_func_proto(all, number);
  for (const char* name : {"a", "b", "c"}) btf__add_func_param(all, name, number);
  btf__add_typedef(all, "callback", btf__add_ptr(all, function));
  btf__add_func(all, "helper", BTF_FUNC_STATIC, function);
  btf__add_enum(all, "choice", 4);
  btf__add_enum_value(all, "kOne", 1);
  __u32 size = 0;
  const void* bytes = btf__raw_data(all, &size);
  return {static_cast<const char*>(bytes), size};
}

const btf_type* structure(const btf* types, const char* name) {
  return btf__type_by_id(types,
                         static_cast<__u32>(btf__find_by_name_kind(types, name, BTF_KIND_STRUCT)));
}

TEST(KernelTypes, FindsTypesByTheirNames) {
  const File file(some_types());
  auto types = KernelTypes::read(file.path(), {"outer", "callback", "helper", "inner_t", "none"});
  ASSERT_TRUE(types) << types.error().message();
  EXPECT_NE(types->id_of_structure("outer"), 0U);
  EXPECT_EQ(types->id_of_structure("inner_t"), 0U) << "a type definition";
  EXPECT_EQ(types->id_of_structure("other"), 0U) << "not one of the names";
  EXPECT_EQ(types->parameters_of("callback"), 3U);
  EXPECT_EQ(types->parameters_of("inner_t"), std::nullopt);
  EXPECT_NE(types->id_of_function("helper"), 0U);
  EXPECT_EQ(types->id_of_function("none"), 0U);
}

TEST(KernelTypes, AnExtractHasWhatIsInsideOfTheTypesAndNothingBehindPointers) {
  const File file(some_types());
  auto types = KernelTypes::read(file.path(), {"outer", "choice", "helper"});
  ASSERT_TRUE(types) << types.error().message();
  const Btf cut = parsed(types->cut());
  ASSERT_NE(cut, nullptr);
  EXPECT_LT(btf__find_by_name_kind(cut.get(), "other", BTF_KIND_STRUCT), 0);
  EXPECT_GT(btf__find_by_name_kind(cut.get(), "inner", BTF_KIND_STRUCT), 0);
  EXPECT_GT(btf__find_by_name_kind(cut.get(), "choice", BTF_KIND_ENUM), 0);
  EXPECT_LT(btf__find_by_name_kind(cut.get(), "helper", BTF_KIND_FUNC), 0);
  const btf_type* outer = structure(cut.get(), "outer");
  ASSERT_EQ(btf_vlen(outer), 3U);
  EXPECT_EQ(outer->size, 32U);
  const btf_type* pointer = btf__type_by_id(cut.get(), btf_members(outer)[0].type);
  EXPECT_TRUE(btf_is_ptr(pointer));
  EXPECT_EQ(pointer->type, 0U);
  EXPECT_EQ(btf_member_bit_offset(outer, 1), 64U);
  EXPECT_EQ(btf__resolve_size(cut.get(), btf_members(outer)[1].type), 16);
  const btf_type* either = btf__type_by_id(cut.get(), btf_members(outer)[2].type);
  ASSERT_EQ(btf_vlen(either), 1U);
  EXPECT_EQ(btf_member_bitfield_size(either, 0), 3U);
}

// Each type of the extract must equal the kernel's type, with its members at the same offsets.
TEST(KernelTypes, AnExtractOfTheKernelIsAsLibbpfReadsIt) {
  const Btf whole(btf__parse(kVmlinux, nullptr));
  if (whole == nullptr) GTEST_SKIP() << "the kernel does not describe its types";
  const std::vector<std::string_view> names{"task_struct", "mm_struct", "cgroup", "mount"};
  auto types = KernelTypes::read(kVmlinux, names);
  ASSERT_TRUE(types) << types.error().message();
  const std::string bytes = types->cut();
  EXPECT_LT(bytes.size(), 1'000'000U);
  const Btf cut = parsed(bytes);
  ASSERT_NE(cut, nullptr);
  for (const std::string_view name : names) {
    const std::string text(name);
    const btf_type* here = structure(cut.get(), text.c_str());
    const btf_type* there = structure(whole.get(), text.c_str());
    ASSERT_TRUE(here != nullptr && there != nullptr) << text;
    EXPECT_EQ(types->id_of_structure(name), static_cast<uint32_t>(btf__find_by_name_kind(
                                                whole.get(), text.c_str(), BTF_KIND_STRUCT)));
    EXPECT_EQ(here->size, there->size);
    ASSERT_EQ(here->info, there->info);
    for (__u16 i = 0; i < btf_vlen(here); i++) {
      const btf_member &member = btf_members(here)[i], &as = btf_members(there)[i];
      EXPECT_EQ(member.offset, as.offset);
      EXPECT_STREQ(btf__name_by_offset(cut.get(), member.name_off),
                   btf__name_by_offset(whole.get(), as.name_off));
      EXPECT_EQ(btf__resolve_size(cut.get(), member.type), btf__resolve_size(whole.get(), as.type));
    }
  }
}

TEST(KernelTypes, DamagedFilesAreRefusedOrRead) {
  const std::string good = some_types();
  const auto tried = [](const std::string& bytes) {
    if (bytes.empty()) return;
    const File file(bytes);
    auto types = KernelTypes::read(file.path(), {"outer", "callback", "helper", "choice"});
    if (!types) return;
    (void)types->id_of_structure("outer");
    (void)types->parameters_of("callback");
    (void)parsed(types->cut());
  };
  for (size_t size = 0; size < good.size(); ++size) tried(good.substr(0, size));
  for (size_t at = 0; at < good.size(); ++at)
    for (const char change : {'\x01', '\x80', '\xff'}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      tried(bytes);
    }
  EXPECT_EQ(KernelTypes::read(File("not BTF").path(), {}).error().code, EBADMSG);
  EXPECT_EQ(KernelTypes::read("/nonexistent", {}).error().code, ENOENT);
}

TEST(KernelTypes, AnObjectWithoutTypesHasNoNames) {
  EXPECT_TRUE(KernelTypes::names_in("").empty());
  EXPECT_TRUE(KernelTypes::names_in("\x7f"
                                    "ELF")
                  .empty());
}

}  // namespace
}  // namespace knell::source
