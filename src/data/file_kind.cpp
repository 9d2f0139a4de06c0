// The magic bytes of binary formats, each with a line of Python that converts it to JSONL.
#include "src/data/file_kind.h"

#include <algorithm>
#include <array>

#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

using std::string_view_literals::operator""sv;

struct Kind {
  std::string_view start;  // if printable, a control character must follow (begins_binary)
  std::string_view what;
  std::string_view python;  // {in}: the file; {out}: .jsonl in place of its suffix; {inner}: without its suffix
  bool may_be_text = false;
};

// pandas and datasets both write one object per line; force_ascii would only make the file larger.
constexpr std::string_view kToJson = ".to_json('{out}', orient='records', lines=True, force_ascii=False)";  // {to_json}
constexpr std::string_view kUnpack = "import shutil; shutil.copyfileobj(";                                  // {unpack}
constexpr std::string_view kFromSqlite =
    "import pandas, sqlite3; pandas.read_sql('select * from TABLE', sqlite3.connect('{in}')){to_json}";
constexpr std::string_view kFromExcel = "import pandas; pandas.read_excel('{in}'){to_json}";
constexpr std::string_view kFromPickle = "import pandas; pandas.DataFrame(pandas.read_pickle('{in}')){to_json}";
constexpr std::string_view kFromNumpy =
    "import numpy, pandas; pandas.DataFrame(list(numpy.load('{in}', allow_pickle=True))){to_json}";

constexpr std::array<Kind, 16> kKinds = {{
    {"PAR1"sv, "a Parquet file", "import pandas; pandas.read_parquet('{in}'){to_json}"},
    {"PARE"sv, "an encrypted Parquet file", ""},
    {"ARROW1"sv, "an Arrow file", "import pandas; pandas.read_feather('{in}'){to_json}"},
    {"\xFF\xFF\xFF\xFF"sv, "an Arrow stream", "from datasets import Dataset; Dataset.from_file('{in}').to_json('{out}')"},
    {"\x28\xB5\x2F\xFD"sv, "packed with zstd", "import zstandard; {unpack}zstandard.open('{in}', 'rb'), open('{inner}', 'wb'))"},
    {"BZh"sv, "packed with bzip2", "import bz2; {unpack}bz2.open('{in}'), open('{inner}', 'wb'))"},
    {"\xFD"
     "7zXZ\0"sv,
     "packed with xz", "import lzma; {unpack}lzma.open('{in}'), open('{inner}', 'wb'))"},
    {"\x04\x22\x4D\x18"sv, "packed with lz4", "import lz4.frame; {unpack}lz4.frame.open('{in}'), open('{inner}', 'wb'))"},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive", ""},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "an old Excel workbook", kFromExcel},
    {"SQLite format 3\0"sv, "an SQLite database", kFromSqlite},
    {"ORC"sv, "an ORC file", "import pandas; pandas.read_orc('{in}'){to_json}"},
    {"\x89HDF\r\n\x1A\n"sv, "an HDF5 file", "import pandas; pandas.read_hdf('{in}'){to_json}"},
    {"\x93NUMPY"sv, "a NumPy array", kFromNumpy},
    {"%PDF-"sv, "a PDF", "", true},
    {"{\\rtf"sv, "a Rich Text file", "", true},
}};

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

/// `path`, or another name if that equals the file's.
std::string unless_same(const std::filesystem::path& path, const std::filesystem::path& file, const char* more) {
  return path == file ? path.string() + more : path.string();
}

std::string refusal(const std::filesystem::path& file, std::string_view what, std::string_view python) {
  std::string out = "is " + std::string(what) + ", which is not read here; ";
  if (python.empty()) {
    return out + "give its rows as JSONL, one object per line";
  }
  std::string line(python);
  replace_all(line, "{to_json}", std::string(kToJson));
  replace_all(line, "{unpack}", std::string(kUnpack));
  std::filesystem::path jsonl = file;
  replace_all(line, "{out}", unless_same(jsonl.replace_extension(".jsonl"), file, ".rows.jsonl"));
  replace_all(line, "{inner}", unless_same(file.parent_path() / file.stem(), file, ".unpacked"));
  replace_all(line, "{in}", file.string());
  return out +
         (python.find("{out}") == std::string_view::npos && python.find("{to_json}") == std::string_view::npos
              ? "unpack it with: python3 -c \""
              : "make it JSONL with: python3 -c \"") +
         line + "\"";
}

/// The error for a zip-based file: an Excel workbook, a Word document, another archive.
std::string refusal_of_zip(const std::filesystem::path& file, std::string_view content) {
  const std::string_view names = content.substr(0, 4096);
  const bool workbook = names.find("xl/") != std::string_view::npos || file.extension() == ".xlsx";
  if (workbook) {
    return refusal(file, "an Excel workbook", kFromExcel);
  }
  if (names.find("word/") != std::string_view::npos || file.extension() == ".docx") {
    return refusal(file, "a Word document", "");
  }
  return refusal(file, "a zip archive", "import zipfile; zipfile.ZipFile('{in}').extractall()");
}

/// True if the first bytes contain a control character: column names may begin with a binary format's magic ("ORCID").
bool begins_binary(std::string_view content) {
  const std::string_view first = content.substr(0, 4096);
  return std::any_of(first.begin(), first.end(), [](unsigned char c) { return c < 0x20 && (c < '\t' || c > '\r'); });
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

/// PDF and RTF may be entirely printable.
bool is_of_kind(const Kind& kind, std::string_view content) {
  return content.starts_with(kind.start) && (!is_printable(kind.start) || kind.may_be_text || begins_binary(content));
}

bool is_pickle(std::string_view content) {
  return content.size() > 2 && content[0] == '\x80' && content[1] >= 2 && content[1] <= 5;
}

bool is_tar(std::string_view content) { return content.size() >= 262 && content.substr(257, 5) == "ustar"; }

/// Rejects text files in place of the data: Git LFS pointers, web pages.
std::string refusal_of_text(std::string_view content) {
  const std::size_t first = content.find_first_not_of(" \t\r\n");
  const std::string start = ascii_lower(content.substr(first == std::string_view::npos ? content.size() : first).substr(0, 16));
  if (content.starts_with("version https://git-lfs")) {
    return "is a pointer of Git LFS and not the data; fetch that with: git lfs pull";
  }
  if (start.starts_with("<!doctype html") || start.starts_with("<html")) {
    return "is a web page and not data; it may be what a server answered in place of the file: download it again";
  }
  return "";
}

}  // namespace

std::string foreign_content(const std::filesystem::path& file, std::string_view content) {
  for (const Kind& kind : kKinds) {
    if (is_of_kind(kind, content)) {
      return refusal(file, kind.what, kind.python);
    }
  }
  if (content.starts_with("PK\x03\x04") || content.starts_with("PK\x05\x06")) {
    return refusal_of_zip(file, content);
  }
  if (is_tar(content)) {
    return refusal(file, "a tar archive", "import tarfile; tarfile.open('{in}').extractall()");
  }
  if (is_pickle(content)) {
    return refusal(file, "a Python pickle (load one only where you trust who wrote it)", kFromPickle);
  }
  if (content.substr(0, 4096).find('\0') != std::string_view::npos) {
    return "is binary, or UTF-16 without a byte order mark, and not text; give its rows as JSONL in UTF-8, one object per line";
  }
  return refusal_of_text(content);
}

}  // namespace lora_dist
