// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <knell/knell.hpp>
#include <string_view>
#include <utility>

namespace knell::exporter {
namespace {

size_t on_body(char* data, size_t size, size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  const size_t bytes = size * count;
  body.append(data, std::min(bytes, HttpClient::kMostBody - body.size()));
  return bytes;  // the rest is read and dropped
}

int on_progress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(stop))() ? 1 : 0;
}

struct Url {
  CURLU* handle = curl_url();
  Url() = default;
  Url(const Url&) = delete;
  Url& operator=(const Url&) = delete;
  ~Url() { curl_url_cleanup(handle); }
  std::string part(CURLUPart which) const {
    char* text = nullptr;
    if (curl_url_get(handle, which, &text, 0) != CURLUE_OK) return "";
    std::string out = text;
    curl_free(text);
    return out;
  }
};

bool is_token(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").contains(static_cast<char>(c));
  });
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

std::string decoded(const std::string& text) {
  int size = 0;
  char* plain = curl_easy_unescape(nullptr, text.c_str(), static_cast<int>(text.size()), &size);
  if (plain == nullptr) return "";
  std::string out(plain, static_cast<size_t>(size));
  curl_free(plain);
  return out;
}

}  // namespace

struct HttpClient::Curl {
  CURL* easy = curl_easy_init();
  curl_slist* headers = nullptr;
  Curl() = default;
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;
  ~Curl() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
  }
};

HttpClient::HttpClient(std::unique_ptr<Curl> curl) : curl_(std::move(curl)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Outcome<HttpClient> HttpClient::create(const Options& options) {
  auto curl = std::make_unique<Curl>();
  if (curl->easy == nullptr) return fail(kFailed, "cannot initialise libcurl");
  std::vector<std::string> headers = options.headers;
  headers.emplace_back("Content-Type: application/json");
  headers.emplace_back("Expect:");  // without it libcurl waits a second for "100 Continue"
  for (const std::string& header : headers)
    curl->headers = curl_slist_append(curl->headers, header.c_str());
  CURL* easy = curl->easy;
  curl_easy_setopt(easy, CURLOPT_URL, options.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, curl->headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "knell-export/" KNELL_VERSION);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  return HttpClient(std::move(curl));
}

HttpClient::Answer HttpClient::post(const std::string& body, const std::function<bool()>& stop) {
  Answer answer;
  CURL* easy = curl_->easy;
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &stop);
  const CURLcode done = curl_easy_perform(easy);
  if (done != CURLE_OK) {
    answer.error = curl_easy_strerror(done);
    return answer;
  }
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    answer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 86400));
  return answer;
}

Outcome<std::string> logs_url(const std::string& endpoint) {
  const Url url;
  const bool parsed = curl_url_set(url.handle, CURLUPART_URL, endpoint.c_str(), 0) == CURLUE_OK;
  const std::string scheme = parsed ? url.part(CURLUPART_SCHEME) : "";
  if (scheme != "http" && scheme != "https")
    return fail(kUsage, "--endpoint takes a URL such as http://127.0.0.1:4318, not '{}'",
                printable(endpoint));
  constexpr std::string_view kPath = "/v1/logs";
  std::string path = url.part(CURLUPART_PATH);
  if (path.ends_with(kPath)) return endpoint;
  while (path.ends_with('/')) path.pop_back();
  path += kPath;
  curl_url_set(url.handle, CURLUPART_PATH, path.c_str(), 0);
  return url.part(CURLUPART_URL);
}

Outcome<std::vector<std::string>> parse_headers(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string pair = text.substr(at, comma - at);
    at = comma + 1;
    if (trimmed(pair).empty()) continue;
    const size_t equals = pair.find('=');
    const std::string name = trimmed(std::string_view(pair).substr(0, equals));
    const std::string value = equals == std::string::npos
                                  ? ""
                                  : decoded(trimmed(std::string_view(pair).substr(equals + 1)));
    // The values are secrets, so none is shown.
    if (equals == std::string::npos || !is_token(name) ||
        value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return fail(kUsage,
                  "OTEL_EXPORTER_OTLP_HEADERS must be NAME=VALUE,NAME=VALUE with names of "
                  "HTTP headers");
    out.push_back(name + ": " + value);
  }
  return out;
}

}  // namespace knell::exporter
