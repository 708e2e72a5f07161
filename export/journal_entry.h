// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace knell::exporter {

// What an entry of the systemd journal is about. Each kind has a MESSAGE_ID, and an explanation in
// packaging/systemd/knell-export.catalog, which `journalctl -x` shows.
struct EntryKind {
  std::string_view name;
  std::string_view message_id;  // 32 hex digits, made by `systemd-id128 new`; never change one
};
constexpr std::array<EntryKind, 7> kEntryKinds{{
    {"oom", "a329d0dc023d4eb7bba7b435dcc303e6"},
    {"core", "feffcd2e01ce41c7ac4d800a559be58f"},
    {"signal", "f6845081b3904c37921e706959106eb1"},
    {"failure", "5d522779612840d5a6f8ccaf8f79ac72"},
    {"lost", "abceb942d848443f92e1d924bb01b665"},
    {"exit", "de73a2ea7a0f4e70a98b6419068cc565"},   // code 0, or the status is unknown
    {"other", "e67cebd59a964b4d96218e3162f0c392"},  // an event that is no exit
}};
const EntryKind& kind_of(const knell_event& event);

// The fields of an entry, "NAME=value" each, as sd_journal_sendv(3) takes them.
std::vector<std::string> entry_of(const knell_event& event);

}  // namespace knell::exporter
