// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// trim_bpf OBJECT: makes a BPF object smaller, in place, because libknell contains it. Removes two
// parts, which are half of the object: from .BTF.ext the source line of each instruction, which
// only the kernel's verifier prints; and from the symbol table the unused labels of jumps (LBB...).
// Used during the build; see cmake/KnellBpf.cmake.
#include <elf.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The start of a .BTF.ext section; offsets count from its end. See Documentation/bpf/btf.rst in
// Linux.
struct BtfExtHeader {
  uint16_t magic;
  uint8_t version, flags;
  uint32_t header_bytes;
  uint32_t functions_offset, functions_bytes, lines_offset, lines_bytes;
  uint32_t relocations_offset, relocations_bytes;
};

struct Section {
  Elf64_Shdr header;
  std::string name, bytes;
};

[[noreturn]] void fail(const char* why) {
  (void)std::fprintf(stderr, "trim_bpf: %s\n", why);
  std::exit(1);
}

template <class T>
T read(std::string_view bytes, size_t at) {
  T value;
  if (at > bytes.size() || bytes.size() - at < sizeof value) fail("the object is cut off");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view slice(std::string_view bytes, size_t at, size_t size) {
  if (at > bytes.size() || bytes.size() - at < size) fail("the object is cut off");
  return bytes.substr(at, size);
}

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string_view text_at(std::string_view table, size_t at) {
  const std::string_view rest = slice(table, at, table.size() - at);
  return rest.substr(0, rest.find('\0'));
}

std::vector<Section> read_sections(std::string_view object, const Elf64_Ehdr& elf) {
  std::vector<Section> sections;
  for (size_t i = 0; i < elf.e_shnum; ++i) {
    const auto header = read<Elf64_Shdr>(object, elf.e_shoff + i * sizeof(Elf64_Shdr));
    const bool stored = header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL;
    sections.push_back(
        {header, "", std::string(stored ? slice(object, header.sh_offset, header.sh_size) : "")});
  }
  if (elf.e_shstrndx >= sections.size()) fail("the object has no names of sections");
  for (Section& section : sections)
    section.name = text_at(sections[elf.e_shstrndx].bytes, section.header.sh_name);
  return sections;
}

void remove_lines(Section& section) {
  auto header = read<BtfExtHeader>(section.bytes, 0);
  const size_t begin = header.header_bytes;
  const std::string functions(
      slice(section.bytes, begin + header.functions_offset, header.functions_bytes));
  const std::string relocations(
      slice(section.bytes, begin + header.relocations_offset, header.relocations_bytes));
  header.header_bytes = sizeof header;
  header.functions_offset = 0;
  header.lines_offset = header.relocations_offset = header.functions_bytes;
  header.lines_bytes = 0;
  section.bytes.clear();
  append(section.bytes, header);
  section.bytes += functions + relocations;
}

// Removes the symbols of labels, and renumbers the others in the relocations.
void remove_labels(std::vector<Section>& sections, size_t index) {
  Section& table = sections[index];
  if (table.header.sh_link >= sections.size()) fail("the symbols have no names");
  const std::string names = sections[table.header.sh_link].bytes;
  std::vector<uint32_t> places;  // index of each symbol in the new table
  std::string kept;
  uint32_t locals = 0;
  for (size_t at = 0; at < table.bytes.size(); at += sizeof(Elf64_Sym)) {
    const auto symbol = read<Elf64_Sym>(table.bytes, at);
    const bool local = ELF64_ST_BIND(symbol.st_info) == STB_LOCAL;
    const bool label = local && ELF64_ST_TYPE(symbol.st_info) == STT_NOTYPE &&
                       text_at(names, symbol.st_name).starts_with("LBB");
    places.push_back(label ? UINT32_MAX : static_cast<uint32_t>(kept.size() / sizeof symbol));
    if (label) continue;
    append(kept, symbol);
    locals += local ? 1 : 0;
  }
  for (Section& section : sections) {
    if (section.header.sh_type != SHT_REL || section.header.sh_link != index) continue;
    for (size_t at = 0; at < section.bytes.size(); at += sizeof(Elf64_Rel)) {
      auto relocation = read<Elf64_Rel>(section.bytes, at);
      const size_t symbol = ELF64_R_SYM(relocation.r_info);
      if (symbol >= places.size() || places[symbol] == UINT32_MAX) fail("a label is referenced");
      relocation.r_info = ELF64_R_INFO(uint64_t{places[symbol]}, ELF64_R_TYPE(relocation.r_info));
      std::memcpy(section.bytes.data() + at, &relocation, sizeof relocation);
    }
  }
  table.bytes = kept;
  table.header.sh_info = locals;
}

// Writes the strings that sections and symbols use into a new table.
void rewrite_names(std::vector<Section>& sections, size_t index, size_t symbols) {
  const std::string old = sections[index].bytes;
  std::string names(1, '\0');
  const auto move = [&](uint32_t at) -> uint32_t {
    const std::string text(text_at(old, at));
    if (text.empty()) return 0;
    const auto place = static_cast<uint32_t>(names.size());
    names.append(text.c_str(), text.size() + 1);
    return place;
  };
  std::string& table = sections[symbols].bytes;
  for (size_t at = 0; at < table.size(); at += sizeof(Elf64_Sym)) {
    auto symbol = read<Elf64_Sym>(table, at);
    symbol.st_name = move(symbol.st_name);
    std::memcpy(table.data() + at, &symbol, sizeof symbol);
  }
  for (Section& section : sections) section.header.sh_name = move(section.header.sh_name);
  sections[index].bytes = names;
}

std::string write_object(Elf64_Ehdr elf, std::vector<Section>& sections) {
  std::string out(sizeof elf, '\0');
  const auto align = [&out](size_t to) { out.resize((out.size() + to - 1) / to * to); };
  for (Section& section : sections) {
    if (section.header.sh_type == SHT_NULL) continue;
    align(section.header.sh_addralign > 1 ? section.header.sh_addralign : 1);
    section.header.sh_offset = out.size();
    if (section.header.sh_type == SHT_NOBITS) continue;
    section.header.sh_size = section.bytes.size();
    out += section.bytes;
  }
  align(8);
  elf.e_shoff = out.size();
  for (const Section& section : sections) append(out, section.header);
  std::memcpy(out.data(), &elf, sizeof elf);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) fail("usage: trim_bpf OBJECT");
  std::ifstream in(argv[1], std::ios::binary);
  const std::string object{std::istreambuf_iterator<char>(in), {}};
  const auto elf = read<Elf64_Ehdr>(object, 0);
  if (std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_machine != EM_BPF ||
      elf.e_shentsize != sizeof(Elf64_Shdr))
    fail("not a BPF object");
  std::vector<Section> sections = read_sections(object, elf);
  for (size_t i = 0; i < sections.size(); ++i) {
    if (sections[i].name == ".BTF.ext") remove_lines(sections[i]);
    if (sections[i].header.sh_type != SHT_SYMTAB) continue;
    remove_labels(sections, i);
    // bpftool puts the names of symbols and sections into one table.
    if (sections[i].header.sh_link == elf.e_shstrndx) rewrite_names(sections, elf.e_shstrndx, i);
  }
  std::ofstream out(argv[1], std::ios::binary | std::ios::trunc);
  out << write_object(elf, sections);
  if (!out.flush()) fail("cannot write the object");
  return 0;
}
