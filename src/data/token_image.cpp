// Writes, verifies and joins token images.
#include "src/data/token_image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "src/core/error.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

constexpr std::size_t kDigits = 64;  // of a SHA-256
constexpr std::array<char, 16> kMagic = {'l', 'o', 'r', 'a', '_', 'd', 'i', 's', 't', ' ', 't', 'o', 'k', 'e', 'n', 's'};
constexpr std::uint64_t kLayout = 2;

struct Header {
  std::array<char, 16> magic = kMagic;
  std::uint64_t layout = kLayout;
  std::uint64_t samples = 0, tokens = 0, report_bytes = 0;
  std::array<char, kDigits> key{};     // zeros: none
  std::array<char, kDigits> sha256{};  // of the image with this field zeroed; only with a key
};
static_assert(sizeof(Header) % sizeof(SampleRecord::id) == 0 && std::is_trivially_copyable_v<Header>);
static_assert(sizeof(SampleRecord) == 24);

/// Reads `count` items at `at` and advances it; nullopt if the bytes end before.
template <class T>
std::span<const T> take(std::span<const std::byte>& bytes, std::uint64_t count) {
  if (count > bytes.size() / sizeof(T)) {
    throw Error(ExitCode::data, "it is cut off");
  }
  const std::span<const T> out(reinterpret_cast<const T*>(bytes.data()), static_cast<std::size_t>(count));
  bytes = bytes.subspan(out.size_bytes());
  return out;
}

template <class T>
std::span<T> take_mutable(std::span<std::byte>& bytes, std::size_t count) {
  const std::span<T> out(reinterpret_cast<T*>(bytes.data()), count);
  bytes = bytes.subspan(out.size_bytes());
  return out;
}

Header header_of(std::span<const std::byte> bytes) {
  Header header;
  if (bytes.size() < sizeof(Header)) {
    throw Error(ExitCode::data, "it is cut off");
  }
  std::memcpy(&header, bytes.data(), sizeof(Header));
  if (header.magic != kMagic || header.layout != kLayout) {
    throw Error(ExitCode::data, "it is no file of tokens, or one of another version of this program");
  }
  return header;
}

std::string digest_of(std::span<const std::byte> bytes) {
  Header header = header_of(bytes);
  header.sha256 = {};
  Sha256 digest;
  digest.update(std::as_bytes(std::span(&header, 1)));
  digest.update(bytes.subspan(sizeof(Header)));
  return digest.hex();
}

nlohmann::json json_of(const FileReport& file) {
  nlohmann::json bad = nlohmann::json::array();
  for (const BadRow& row : file.bad_rows) {
    bad.push_back({row.row, row.reason});
  }
  return {{"container", file.container},
          {"kinds", file.kinds},
          {"templates", file.templates},
          {"turns", file.turns},
          {"validation", file.validation},
          {"rows", file.rows},
          {"truncated", file.truncated},
          {"dropped", file.dropped},
          {"bad_rows", bad},
          {"unused_columns", file.unused_columns},
          {"unknown_flags", file.unknown_flags},
          {"notes", file.notes},
          {"empty_answers", file.empty_answers}};
}

FileReport report_of(const nlohmann::json& file) {
  FileReport out;
  file.at("container").get_to(out.container);
  file.at("kinds").get_to(out.kinds);
  file.at("templates").get_to(out.templates);
  file.at("turns").get_to(out.turns);
  file.at("validation").get_to(out.validation);
  file.at("rows").get_to(out.rows);
  file.at("truncated").get_to(out.truncated);
  file.at("dropped").get_to(out.dropped);
  for (const nlohmann::json& bad : file.at("bad_rows")) {
    out.bad_rows.push_back({bad.at(0).get<std::int64_t>(), bad.at(1).get<std::string>()});
  }
  file.at("unused_columns").get_to(out.unused_columns);
  file.at("unknown_flags").get_to(out.unknown_flags);
  file.at("notes").get_to(out.notes);
  file.at("empty_answers").get_to(out.empty_answers);
  return out;
}

std::vector<FileReport> reports_of(std::string_view text) {
  std::vector<FileReport> out;
  try {
    for (const nlohmann::json& file : parse_strict_json(text)) {
      out.push_back(report_of(file));
    }
  } catch (const JsonError& e) {
    throw Error(ExitCode::data, std::string("its report is damaged: ") + e.what());
  } catch (const nlohmann::json::exception& e) {
    throw Error(ExitCode::data, std::string("its report is damaged: ") + e.what());
  }
  return out;
}

/// Adds another part's report on the same file.
void add_report(FileReport& out, const FileReport& part) {
  for (const auto& [kind, count] : part.kinds) {
    out.kinds[kind] += count;
  }
  out.templates.insert(part.templates.begin(), part.templates.end());
  out.turns.insert(part.turns.begin(), part.turns.end());
  out.truncated += part.truncated;
  out.empty_answers += part.empty_answers;
  for (const auto& [reason, count] : part.dropped) {
    out.dropped[reason] += count;
  }
  out.bad_rows.insert(out.bad_rows.end(), part.bad_rows.begin(), part.bad_rows.end());
  out.unused_columns.insert(part.unused_columns.begin(), part.unused_columns.end());
  out.unknown_flags.insert(part.unknown_flags.begin(), part.unknown_flags.end());
  out.notes.insert(out.notes.end(), part.notes.begin(), part.notes.end());
}

/// Merges the reports of several parts on the same files.
std::vector<FileReport> merged_reports(std::span<const TokenImage> parts) {
  std::vector<FileReport> out = parts[0].files;
  for (const TokenImage& part : parts.subspan(1)) {
    bool same = part.files.size() == out.size();
    for (std::size_t i = 0; same && i < out.size(); ++i) {
      same = part.files[i].rows == out[i].rows && part.files[i].container == out[i].container;
      add_report(out[i], part.files[i]);
    }
    if (!same) {
      throw Error(ExitCode::data,
                  "the ranks do not read the same data: the files of data.train and data.validation must be the "
                  "same on every machine");
    }
  }
  for (FileReport& file : out) {  // independent of the division of rows
    std::sort(file.notes.begin(), file.notes.end());
    file.notes.erase(std::unique(file.notes.begin(), file.notes.end()), file.notes.end());
    std::stable_sort(file.bad_rows.begin(), file.bad_rows.end(), [](const BadRow& a, const BadRow& b) { return a.row < b.row; });
  }
  return out;
}

/// A sample of a part, with its first token's offset.
struct PartSample {
  const TokenImage* part;
  SampleRecord record;
  std::size_t first;
};

std::vector<PartSample> pieces_in_order(std::span<const TokenImage> parts) {
  std::vector<PartSample> out;
  for (const TokenImage& part : parts) {
    std::size_t first = 0;
    for (const SampleRecord& record : part.samples) {
      out.push_back({&part, record, first});
      first += static_cast<std::size_t>(record.tokens);
    }
  }
  std::sort(out.begin(), out.end(), [](const PartSample& a, const PartSample& b) { return a.record.id < b.record.id; });
  return out;
}

}  // namespace

TokenImage view_of(const TokenizedRows& rows) { return {"", rows.samples, rows.input_ids, rows.labels, rows.files}; }

std::vector<std::byte> make_token_image(std::span<const TokenImage> parts, const std::string& key) {
  nlohmann::json files = nlohmann::json::array();
  for (const FileReport& file : merged_reports(parts)) {
    files.push_back(json_of(file));
  }
  const std::string report = files.dump();
  Header header;
  header.report_bytes = report.size();
  for (const TokenImage& part : parts) {
    header.samples += part.samples.size();
    header.tokens += part.input_ids.size();
  }
  std::copy_n(key.begin(), std::min(key.size(), kDigits), header.key.begin());

  std::vector<std::byte> image(sizeof(Header) + header.samples * sizeof(SampleRecord) + 2 * header.tokens * sizeof(std::int32_t) +
                               report.size());
  std::span<std::byte> rest = std::span(image).subspan(sizeof(Header));
  const auto records = take_mutable<SampleRecord>(rest, header.samples);
  const auto ids = take_mutable<std::int32_t>(rest, header.tokens);
  const auto labels = take_mutable<std::int32_t>(rest, header.tokens);
  std::memcpy(rest.data(), report.data(), report.size());
  std::size_t sample = 0;
  std::size_t token = 0;
  for (const PartSample& piece : pieces_in_order(parts)) {
    const auto n = static_cast<std::size_t>(piece.record.tokens);
    records[sample++] = piece.record;
    std::copy_n(piece.part->input_ids.begin() + static_cast<std::ptrdiff_t>(piece.first), n,
                ids.begin() + static_cast<std::ptrdiff_t>(token));
    std::copy_n(piece.part->labels.begin() + static_cast<std::ptrdiff_t>(piece.first), n,
                labels.begin() + static_cast<std::ptrdiff_t>(token));
    token += n;
  }
  std::memcpy(image.data(), &header, sizeof(Header));
  if (!key.empty()) {  // an image without a key is not cached
    const std::string digest = digest_of(image);
    std::copy_n(digest.begin(), kDigits, header.sha256.begin());
    std::memcpy(image.data(), &header, sizeof(Header));
  }
  return image;
}

TokenImage read_token_image(std::span<const std::byte> bytes) {
  const Header header = header_of(bytes);
  std::span<const std::byte> rest = bytes.subspan(sizeof(Header));
  TokenImage out;
  if (header.key[0] != '\0') {
    out.key.assign(header.key.begin(), header.key.end());
  }
  out.samples = take<SampleRecord>(rest, header.samples);
  out.input_ids = take<std::int32_t>(rest, header.tokens);
  out.labels = take<std::int32_t>(rest, header.tokens);
  const std::span<const char> report = take<char>(rest, header.report_bytes);
  out.files = reports_of({report.data(), report.size()});
  std::uint64_t tokens = 0;
  std::int64_t last = -1;
  for (const SampleRecord& record : out.samples) {
    const bool sound =
        record.id > last && record.tokens > 0 && record.file >= 0 && static_cast<std::size_t>(record.file) < out.files.size();
    if (!sound) {
      throw Error(ExitCode::data, "its list of samples is damaged");
    }
    last = record.id;
    tokens += static_cast<std::uint64_t>(record.tokens);
  }
  if (tokens != header.tokens || !rest.empty()) {
    throw Error(ExitCode::data, "its lengths do not add up");
  }
  return out;
}

bool has_right_digest(std::span<const std::byte> bytes) {
  const Header header = header_of(bytes);
  return digest_of(bytes) == std::string_view(header.sha256.data(), header.sha256.size());
}

std::span<const std::byte> bytes_of(const TokenStore& store) {
  if (const auto* mapped = std::get_if<MappedFile>(&store)) {
    return mapped->bytes();
  }
  return std::get<std::vector<std::byte>>(store);
}

}  // namespace lora_dist
