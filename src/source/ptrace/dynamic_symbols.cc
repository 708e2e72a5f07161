// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The segment PT_DYNAMIC has the addresses of the table of symbols and of the table of strings that
// their names are in. A name may be the end of a longer one there ("ptrace" of "my_ptrace"), so a
// string counts only if a symbol refers to it.
#include "source/ptrace/dynamic_symbols.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace knell::source {
namespace {

constexpr size_t kMostSegments = 64;                  // ordinary programs have about 12
constexpr size_t kMostDynamic = 1024;                 // entries; ordinary programs have about 30
constexpr uint64_t kMostNames = uint64_t{8} << 20;    // bytes; a large browser has about 1 MiB
constexpr uint64_t kMostSymbols = uint64_t{8} << 20;  // bytes

struct Elf64 {
  using Header = Elf64_Ehdr;
  using Segment = Elf64_Phdr;
  using Dynamic = Elf64_Dyn;
  using Symbol = Elf64_Sym;
};
struct Elf32 {
  using Header = Elf32_Ehdr;
  using Segment = Elf32_Phdr;
  using Dynamic = Elf32_Dyn;
  using Symbol = Elf32_Sym;
};

bool read_at(int fd, void* data, size_t bytes, uint64_t offset) {
  return ::pread(fd, data, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

struct Names {
  std::string text;
  std::vector<uint32_t> used;  // where the names of symbols begin, sorted
};

// The file's part that is loaded at `address`, up to the end of its segment; 0 bytes: none.
template <class Segments>
std::pair<uint64_t, uint64_t> part_at(const Segments& segments, uint64_t address) {
  for (const auto& segment : segments)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      const uint64_t skipped = address - segment.p_vaddr;
      return {segment.p_offset + skipped, segment.p_filesz - skipped};
    }
  return {0, 0};
}

template <class Elf>
Names dynamic_names(int fd) {
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
  uint64_t address = 0, bytes = 0, symbols = 0;
  for (const auto& entry : entries) {
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_STRTAB) address = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) bytes = entry.d_un.d_val;
    if (entry.d_tag == DT_SYMTAB) symbols = entry.d_un.d_ptr;
  }
  Names names;
  const auto [offset, most] = part_at(segments, address);
  names.text.resize(std::min({bytes, most, kMostNames}));
  if (!read_at(fd, names.text.data(), names.text.size(), offset)) return {};
  // No entry has the number of symbols. Linkers place the strings after them; what may be in
  // between is read as symbols, too.
  auto [first, room] = part_at(segments, symbols);
  if (symbols < address) room = std::min(room, address - symbols);
  std::vector<typename Elf::Symbol> table(std::min(room, kMostSymbols) /
                                          sizeof(typename Elf::Symbol));
  if (!read_at(fd, table.data(), table.size() * sizeof table[0], first)) return {};
  for (const auto& symbol : table) names.used.push_back(symbol.st_name);
  std::ranges::sort(names.used);
  return names;
}

}  // namespace

bool has_dynamic_symbol(int fd, std::span<const std::string_view> names) {
  unsigned char ident[EI_NIDENT];
  if (!read_at(fd, ident, sizeof ident, 0) || std::memcmp(ident, ELFMAG, SELFMAG) != 0)
    return false;
  constexpr unsigned char kOurs =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  if (ident[EI_DATA] != kOurs) return false;
  const Names all =
      ident[EI_CLASS] == ELFCLASS64 ? dynamic_names<Elf64>(fd) : dynamic_names<Elf32>(fd);
  return std::ranges::any_of(names, [&](std::string_view name) {
    std::string word(name);
    word.push_back('\0');
    for (size_t at = 0; (at = all.text.find(word, at)) != std::string::npos; ++at)
      if (std::ranges::binary_search(all.used, static_cast<uint32_t>(at))) return true;
    return false;
  });
}

}  // namespace knell::source
