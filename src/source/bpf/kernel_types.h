// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace knell::source {

// The kernel's description of its types (BTF, Documentation/bpf/btf.rst in the kernel), as far as
// the programs need it. See kernel_types.cc. Not thread-safe.
class KernelTypes {
 public:
  // The names of the structures, unions, enumerations and type definitions in the BTF of an object
  // file, without the suffix of a variant (`name___variant`). They point into `elf`. Empty: the
  // file has no BTF, or is malformed.
  static std::vector<std::string_view> names_in(std::string_view elf);

  // Reads the file `path` and finds the types with these names. Errors: EBADMSG the file is
  // malformed, or has types that this version does not know; those of open(2), read(2).
  static Result<KernelTypes> read(const char* path, const std::vector<std::string_view>& names);
  KernelTypes(KernelTypes&& other) noexcept;
  KernelTypes& operator=(KernelTypes&&) = delete;
  ~KernelTypes();

  // The number of the structure, function or type definition with this name, which must be one of
  // the names; 0: there is none.
  uint32_t id_of_structure(std::string_view name) const;
  uint32_t id_of_function(std::string_view name) const;
  uint32_t id_of_definition(std::string_view name) const;
  // The number of parameters of the function that this type definition, which must be one of the
  // names, points to; nullopt: there is none.
  std::optional<size_t> parameters_of(std::string_view name) const;
  // BTF of the types with the names that were passed to read(), and of the types of their members;
  // pointers in them point to void. The types have other numbers there.
  std::string cut() const;

 private:
  class Cut;
  struct Type;

  KernelTypes() = default;
  Result<void> parse(const std::vector<std::string_view>& names);
  Type at(uint32_t id) const;
  uint32_t id_of(std::string_view name, uint32_t kind) const;
  std::string_view text(uint32_t offset) const;

  const char* bytes_ = nullptr;  // the file
  size_t size_ = 0;

  std::string_view types_, texts_;
  std::vector<uint32_t> offsets_;  // offset of each type in types_; that of type 0 is not used
  std::unordered_map<std::string_view, std::vector<uint32_t>> found_;
};

}  // namespace knell::source
