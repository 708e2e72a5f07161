// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/history_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <knell/knell.hpp>
#include <utility>

#include "base/json_value.h"

namespace knell::fleet {
namespace {

using Kind = HistoryRequest::Kind;
using State = HistoryPage::State;

constexpr std::array kKinds{std::pair("page", Kind::kPage), std::pair("alive", Kind::kAlive),
                            std::pair("end", Kind::kEnd)};
constexpr std::array kStates{
    std::pair("more", State::kMore),       std::pair("end", State::kEnd),
    std::pair("busy", State::kBusy),       std::pair("unknown", State::kUnknown),
    std::pair("refused", State::kRefused), std::pair("failed", State::kUnreadable)};

template <class Names, class Value>
std::string_view name_of(const Names& names, Value value) {
  for (const auto& [name, each] : names)
    if (each == value) return name;
  return "";
}
template <class Names>
const auto* find(const Names& names, const std::string& name) {
  const auto found =
      std::ranges::find_if(names, [&](const auto& pair) { return pair.first == name; });
  return found == names.end() ? nullptr : &found->second;
}

std::unexpected<Error> invalid(std::string_view what) {
  return say(EINVAL, fmt::format("invalid history request: {}", what));
}

bool is_query(const std::string& name) {
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// A number from the network, limited to `most`.
template <class T>
T bounded(const JsonValue& value, T most) {
  return static_cast<T>(std::min<uint64_t>(value.count(), static_cast<uint64_t>(most)));
}

}  // namespace

std::string request_json(const HistoryRequest& request) {
  std::string out = fmt::format(R"({{"want":"{}","query":"{}","page":{})",
                                name_of(kKinds, request.kind), request.query, request.page);
  if (request.kind == Kind::kPage && request.page == 1)
    out += fmt::format(
        R"(,"selector":{},"since_ns":{},"until_ns":{},"last":{},"this_boot":{},"page_bytes":{})",
        selector_json(request.selector), request.since_ns, request.until_ns, request.last,
        request.this_boot, request.page_bytes);
  return out + '}';
}

Result<HistoryRequest> parse_request(const std::string& text, std::string& ret_query) {
  ret_query.clear();
  const auto root = text.size() <= kMostRequestBytes ? parse_json_object(text) : std::nullopt;
  if (!root) return invalid("not a JSON object, or too long");
  HistoryRequest request;
  request.query = (*root)["query"].text();
  if (!is_query(request.query)) return invalid("the name of the query is missing");
  ret_query = request.query;
  const Kind* kind = find(kKinds, (*root)["want"].text());
  if (kind == nullptr) return invalid("the kind of request is unknown to this version");
  request.kind = *kind;
  request.page = bounded((*root)["page"], UINT32_MAX);
  if (request.page == 0) return invalid("page numbers start at 1");
  if (request.kind != Kind::kPage || request.page != 1) return request;
  KNELL_ASSIGN(request.selector, parse_selector((*root)["selector"]));
  request.since_ns = bounded((*root)["since_ns"], INT64_MAX);
  request.until_ns = bounded((*root)["until_ns"], INT64_MAX);
  request.last = bounded((*root)["last"], static_cast<uint64_t>(INT64_MAX));
  request.this_boot = (*root)["this_boot"].is_true();
  request.page_bytes =
      std::clamp<uint64_t>((*root)["page_bytes"].count(), kLeastPageBytes, kMostPageBytes);
  return request;
}

std::string page_text(const HistoryPage& page) {
  return fmt::format(
             R"({{"state":"{}","page":{},"text":{},"events":{},"limited":{},"own_user":{}}})",
             name_of(kStates, page.state), page.page, json_string(page.text),
             json_string(page.events), page.limited, page.own_user) +
         '\n' + page.lines;
}

Result<HistoryPage> parse_page(std::string_view text) {
  const size_t end = text.find('\n');
  const auto head = end == text.npos ? std::nullopt : parse_json_object(std::string(text, 0, end));
  if (!head) return say(EINVAL, "invalid answer: the first line is not a JSON object");
  HistoryPage page;
  const State* state = find(kStates, (*head)["state"].text());
  if (state == nullptr) return say(EINVAL, "invalid answer: the state is unknown to this version");
  page.state = *state;
  page.page = bounded((*head)["page"], UINT32_MAX);
  page.text = (*head)["text"].text();
  page.events = (*head)["events"].text();
  page.limited = (*head)["limited"].is_true();
  page.own_user = (*head)["own_user"].is_true();
  page.lines = text.substr(end + 1);
  return page;
}

}  // namespace knell::fleet
