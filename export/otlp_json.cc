// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/otlp_json.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <string_view>
#include <variant>

#include "export/fields.h"

namespace knell::exporter {
namespace {

// SeverityNumber of the protocol, where enumerators are numbers in JSON.
struct OtlpSeverity {
  int number;
  std::string_view text;
};
OtlpSeverity otlp(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return {17, "ERROR"};
    case Severity::kWarning:
      return {13, "WARN"};
    case Severity::kInfo:
      break;
  }
  return {9, "INFO"};
}

// Writes the messages of the protocol in the JSON mapping of protobuf, with the exceptions of
// OTLP/JSON: names in lowerCamelCase, 64-bit integers as strings, enumerators as numbers.
class Writer {
 public:
  template <class F>
  void object(std::string_view name, F members) {
    key(name);
    json_.StartObject();
    members();
    json_.EndObject();
  }
  template <class F>
  void array(std::string_view name, F elements) {
    key(name);
    json_.StartArray();
    elements();
    json_.EndArray();
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  void number64(std::string_view name, int64_t value) { text(name, fmt::format("{}", value)); }
  void number32(std::string_view name, int value) {
    key(name);
    json_.Int(value);
  }
  void flag(std::string_view name, bool value) {
    key(name);
    json_.Bool(value);
  }
  // A KeyValue; nothing if the value is absent.
  void attribute(std::string_view name, const Value& value) {
    if (name.empty() || std::holds_alternative<std::monostate>(value)) return;
    object("", [&] {
      text("key", name);
      object("value", [&] { any_value(value); });
    });
  }
  void text_attribute(std::string_view name, const std::string& value) {
    if (!value.empty()) attribute(name, value);
  }
  size_t size() const { return buffer_.GetSize(); }
  std::string take() { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  void key(std::string_view name) {
    if (!name.empty()) json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void any_value(const Value& value) {
    if (const auto* number = std::get_if<int64_t>(&value)) number64("intValue", *number);
    if (const auto* yes = std::get_if<bool>(&value)) flag("boolValue", *yes);
    if (const auto* string = std::get_if<std::string>(&value)) text("stringValue", *string);
    if (const auto* words = std::get_if<std::vector<std::string>>(&value)) {
      object("arrayValue", [&] {
        array("values", [&] {
          for (const std::string& word : *words) object("", [&] { text("stringValue", word); });
        });
      });
    }
  }

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> json_{buffer_};
};

// The semantic conventions have no names of process events yet; these begin like their attributes.
std::string event_name(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return "knell.lost";
  return fmt::format("process.{}", type_name(event.type));
}

void write_head(Writer& out, int64_t time_ns, int64_t now_ns, Severity severity,
                std::string_view name, std::string_view body) {
  out.number64("timeUnixNano", time_ns);
  out.number64("observedTimeUnixNano", now_ns);
  out.number32("severityNumber", otlp(severity).number);
  out.text("severityText", otlp(severity).text);
  out.text("eventName", name);
  out.object("body", [&] { out.text("stringValue", body); });
}

void write_record(Writer& out, const knell_event& event, int64_t now_ns) {
  out.object("", [&] {
    write_head(out, event.time_ns, now_ns, severity_of(event), event_name(event),
               summary_of(event));
    out.array("attributes", [&] {
      for (const Field& field : fields()) {
        if (!field.attribute.empty()) out.attribute(field.attribute, field.of(event));
      }
    });
  });
}

void write_refused(Writer& out, const OtlpRefused& refused, int64_t now_ns) {
  out.object("", [&] {
    write_head(out, now_ns, now_ns, Severity::kWarning, "knell.lost",
               fmt::format("{} events were refused by the endpoint", refused.count));
    out.array("attributes", [&] {
      out.attribute("knell.type", std::string("lost"));
      out.attribute("knell.count", static_cast<int64_t>(refused.count));
      out.attribute("knell.exact", refused.exact);
      out.attribute("knell.reason", std::string("refused by the endpoint"));
    });
  });
}

}  // namespace

OtlpResource OtlpResource::of_this_machine() {
  OtlpResource out;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) out.host_name = printable(name.data());
  std::ifstream("/etc/machine-id") >> out.host_id;
  out.host_id = printable(out.host_id);
  return out;
}

OtlpRequest otlp_request(const OtlpResource& resource, const Events& events,
                         const OtlpRefused& refused, int64_t now_ns, size_t most_bytes) {
  Writer out;
  size_t count = 0;
  out.object("", [&] {
    out.array("resourceLogs", [&] {
      out.object("", [&] {
        out.object("resource", [&] {
          out.array("attributes", [&] {
            out.text_attribute("service.name", "knelld");
            out.text_attribute("host.name", resource.host_name);
            out.text_attribute("host.id", resource.host_id);
            out.text_attribute("os.type", "linux");
          });
        });
        out.array("scopeLogs", [&] {
          out.object("", [&] {
            out.object("scope", [&] {
              out.text("name", "knell-export");
              out.text("version", KNELL_VERSION);
            });
            out.array("logRecords", [&] {
              if (refused.count > 0) write_refused(out, refused, now_ns);
              for (const knell_event& event : events) {
                if (count > 0 && out.size() >= most_bytes) break;
                write_record(out, event, now_ns);
                ++count;
              }
            });
          });
        });
      });
    });
  });
  return {out.take(), count};
}

OtlpAnswer parse_otlp_answer(const std::string& body) {
  OtlpAnswer out;
  rapidjson::Document document;
  document.Parse<rapidjson::kParseIterativeFlag>(body.data(), body.size());
  if (document.HasParseError() || !document.IsObject()) return out;
  const auto partial = document.FindMember("partialSuccess");
  if (partial == document.MemberEnd() || !partial->value.IsObject()) return out;
  const auto count = partial->value.FindMember("rejectedLogRecords");
  if (count != partial->value.MemberEnd()) {
    // A 64-bit integer may be a string or a number.
    if (count->value.IsUint64()) out.rejected = count->value.GetUint64();
    if (count->value.IsString()) {
      const char* text = count->value.GetString();
      std::from_chars(text, text + count->value.GetStringLength(), out.rejected);
    }
  }
  const auto why = partial->value.FindMember("errorMessage");
  if (why != partial->value.MemberEnd() && why->value.IsString())
    out.message = std::string(why->value.GetString(), why->value.GetStringLength());
  return out;
}

}  // namespace knell::exporter
