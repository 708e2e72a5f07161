// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Only the names are looked at: the segment PT_DYNAMIC has the address and the size of the table of
// strings that the names of all dynamic symbols are in, each between two NULs.
#include "source/ptrace/dynamic_symbols.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace knell::source {
namespace {

constexpr size_t kMostSegments = 64;            // ordinary programs have about 12
constexpr size_t kMostDynamic = 1024;           // entries; ordinary programs have about 30
constexpr size_t kMostNames = size_t{8} << 20;  // bytes; a large browser has about 1 MiB

struct Elf64 {
  using Header = Elf64_Ehdr;
  using Segment = Elf64_Phdr;
  using Dynamic = Elf64_Dyn;
};
struct Elf32 {
  using Header = Elf32_Ehdr;
  using Segment = Elf32_Phdr;
  using Dynamic = Elf32_Dyn;
};

bool read_at(int fd, void* data, size_t bytes, uint64_t offset) {
  return ::pread(fd, data, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

template <class Elf>
std::string dynamic_names(int fd) {
  typename Elf::Header header;
  if (!read_at(fd, &header, sizeof header, 0)) return {};
  if (header.e_phentsize != sizeof(typename Elf::Segment)) return {};
  std::vector<typename Elf::Segment> segments(std::min<size_t>(header.e_phnum, kMostSegments));
  if (!read_at(fd, segments.data(), segments.size() * sizeof segments[0], header.e_phoff))
    return {};
  const auto dynamic = std::ranges::find(segments, uint32_t{PT_DYNAMIC},
                                         [](const auto& segment) { return segment.p_type; });
  if (dynamic == segments.end()) return {};
  std::vector<typename Elf::Dynamic> entries(
      std::min<size_t>(dynamic->p_filesz / sizeof(typename Elf::Dynamic), kMostDynamic));
  if (!read_at(fd, entries.data(), entries.size() * sizeof entries[0], dynamic->p_offset))
    return {};
  uint64_t address = 0, bytes = 0;
  for (const auto& entry : entries) {
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_STRTAB) address = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) bytes = entry.d_un.d_val;
  }
  for (const auto& segment : segments) {
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr ||
        address - segment.p_vaddr >= segment.p_filesz)
      continue;
    std::string names(std::min<uint64_t>(bytes, kMostNames), '\0');
    const uint64_t offset = segment.p_offset + (address - segment.p_vaddr);
    return read_at(fd, names.data(), names.size(), offset) ? names : std::string();
  }
  return {};
}

}  // namespace

bool has_dynamic_symbol(int fd, std::span<const std::string_view> names) {
  unsigned char ident[EI_NIDENT];
  if (!read_at(fd, ident, sizeof ident, 0) || std::memcmp(ident, ELFMAG, SELFMAG) != 0)
    return false;
  constexpr unsigned char kOurs =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (ident[EI_DATA] != kOurs) return false;
  const std::string all =
      ident[EI_CLASS] == ELFCLASS64 ? dynamic_names<Elf64>(fd) : dynamic_names<Elf32>(fd);
  return std::ranges::any_of(names, [&](std::string_view name) {
    std::string word(1, '\0');
    word.append(name).push_back('\0');
    return all.find(word) != std::string::npos;
  });
}

}  // namespace knell::source
