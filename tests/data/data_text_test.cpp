// Compressed files, other encodings, and binary files.
#include "src/data/data_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/formats.h"
#include "tests/data/load.h"
#include "tests/data/packed.h"

namespace lora_dist::data_text_test {
namespace {

using std::string_literals::operator""s;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

std::string text_in(const std::string& name, const std::string& content) {
  const Scratch folder;
  return read_data_text(folder.write(name, content));
}

std::string error_of(const std::string& name, const std::string& content) {
  return error_from([&] { text_in(name, content); });
}

std::string utf16(const std::u16string& text, bool big_endian) {
  std::string out = big_endian ? "\xFE\xFF" : "\xFF\xFE";
  for (const char16_t unit : text) {
    const char high = static_cast<char>(unit >> 8U);
    const char low = static_cast<char>(unit & 0xFFU);
    out += big_endian ? std::string{high, low} : std::string{low, high};
  }
  return out;
}

TEST(DataText, MarksSayTheEncoding) {
  EXPECT_EQ(text_in("x", "{\"text\": \"a\"}"), "{\"text\": \"a\"}");
  EXPECT_EQ(text_in("x", "\xEF\xBB\xBF{}"), "{}");
  for (const bool big_endian : {false, true}) {
    EXPECT_EQ(text_in("x", utf16(u"a\u00E9\u20AC\U0001F600\n", big_endian)), "a\u00E9\u20AC\U0001F600\n");
    EXPECT_EQ(text_in("x.gz", gzipped(utf16(u"hi", big_endian))), "hi");
    EXPECT_THAT(error_of("x", utf16(u"a", big_endian) + "b"), HasSubstr("x is UTF-16 with a broken character"));
    EXPECT_THAT(error_of("x", utf16({u'a', u'\xD83D'}, big_endian)), HasSubstr("x is UTF-16 with a broken character"));
    EXPECT_THAT(error_of("x", utf16({u'\xDE00', u'a'}, big_endian)), HasSubstr("x is UTF-16 with a broken character"));
  }
  EXPECT_THAT(error_of("x", "\xFF\xFE\0\0a\0\0\0"s), HasSubstr("x is UTF-32; save the file as UTF-8"));
}

TEST(DataText, AGzipFileIsReadByWhatItIsAndNamedByWhatItHolds) {
  EXPECT_EQ(text_in("x.jsonl.gz", gzipped("{}\n")), "{}\n");
  EXPECT_EQ(text_in("x.jsonl", gzipped("{}\n")), "{}\n");
  EXPECT_EQ(text_in("x.gz", "{}\n"), "{}\n");  // a name alone packs nothing
  EXPECT_EQ(name_of_content("a/x.csv.gz"), "a/x.csv");
  EXPECT_EQ(name_of_content("a/x.csv"), "a/x.csv");
  EXPECT_THAT(error_of("x.gz", gzipped("{}\n").substr(0, 15)), HasSubstr("x.gz cannot be unpacked: its gzip stream is cut off"));
  EXPECT_THAT(error_of("x.gz", gzipped("PAR1\x15\x04")), HasSubstr("x.gz (unpacked) is a Parquet file"));
  const Scratch folder;
  const DatasetFile table = read_dataset_file(folder.write("x.csv.gz", gzipped("question,answer\na,b\n")), std::nullopt);
  EXPECT_EQ(table.container, Container::csv);
  EXPECT_EQ(table.kind, RowKind::qa);
}

TEST(DataText, AFolderIsNoFile) {
  const Scratch folder;
  EXPECT_THAT(error_from([&] { read_data_text(folder.path()); }),
              AllOf(HasSubstr("3: "), HasSubstr(" is a folder; name its files, or a pattern for them: "), EndsWith("/*.jsonl")));
}

TEST(FileKind, SaysWhatAFileIsAndHowToMakeItJsonl) {
  struct Case {
    std::string name, content, what, how;
  };
  const std::string tar = "x.jsonl" + std::string(250, '\0') + "ustar\00000";
  for (const Case& one : std::vector<Case>{
           {"p.parquet", "PAR1\x15\x04", "p.parquet is a Parquet file, which is not read here; make it JSONL with: python3 -c \"",
            "pandas.read_parquet('"},
           {"p.parquet", "PAR1\x15\x04", "orient='records', lines=True", "p.jsonl'"},
           {"p.jsonl", "PAR1\x15\x04", "p.jsonl is a Parquet file", "p.jsonl.rows.jsonl'"},  // never overwrites itself
           {"a.arrow", "ARROW1\0\0"s, "an Arrow file", "pandas.read_feather('"},
           {"a.arrow", "\xFF\xFF\xFF\xFF\x10\0\0\0"s, "an Arrow stream", "Dataset.from_file('"},
           {"a.jsonl.zst", "\x28\xB5\x2F\xFD....", "packed with zstd, which is not read here; unpack it with: python3",
            "zstandard.open('"},
           {"a.jsonl.bz2", "BZh91AY&SY\x04", "packed with bzip2", "a.jsonl', 'wb')"},
           {"a.jsonl.xz", "\xFD"s + "7zXZ\0\0"s, "packed with xz", "lzma.open('"},
           {"a.lz4", "\x04\x22\x4D\x18@", "packed with lz4", "lz4.frame.open('"},
           {"a.zip", "PK\x03\x04....", "a zip archive", "zipfile.ZipFile('"},
           {"a.xlsx", "PK\x03\x04....[Content_Types].xml", "an Excel workbook", "pandas.read_excel('"},
           {"a.bin", "PK\x03\x04....xl/workbook.xml", "an Excel workbook", "pandas.read_excel('"},
           {"a.docx", "PK\x03\x04....", "a Word document", "give its rows as JSONL"},
           {"a.xls", "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Excel workbook", "pandas.read_excel('"},
           {"a.tar", tar, "a tar archive", "tarfile.open('"},
           {"a.pkl", "\x80\x04\x95..", "a Python pickle (load one only where you trust who wrote it)", "pandas.read_pickle('"},
           {"a.db", "SQLite format 3\0\x10"s, "an SQLite database", "sqlite3.connect('"},
           {"a.orc", "ORC\x0A\x03", "an ORC file", "pandas.read_orc('"},
           {"a.h5", "\x89HDF\r\n\x1A\n", "an HDF5 file", "pandas.read_hdf('"},
           {"a.npy", "\x93NUMPY\x01", "a NumPy array", "numpy.load('"},
           {"a.pdf", "%PDF-1.7", "a PDF", "give its rows as JSONL"},
           {"a.7z", "7z\xBC\xAF\x27\x1C", "a 7z archive", "give its rows as JSONL"},
           {"a.parquet", "PARE\x15\x04", "an encrypted Parquet file", "give its rows as JSONL"},
           {"a.rtf", "{\\rtf1", "a Rich Text file", "give its rows as JSONL"},
           {"a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:1", "a pointer of Git LFS", "git lfs pull"},
           {"a.jsonl", "\n<!DOCTYPE html><html>", "a web page and not data", "download it again"},
           {"a.jsonl", "<HTML>", "a web page and not data", "download it again"},
           {"a.jsonl", "{\0\"\0"s, "is binary, or UTF-16 without a byte order mark", "UTF-8"}}) {
    EXPECT_THAT(error_of(one.name, one.content), AllOf(HasSubstr("3: "), HasSubstr(one.name + " is "), HasSubstr(one.what),
                                                       HasSubstr(one.how), Not(HasSubstr("{"))))
        << one.what;
  }
}

TEST(FileKind, NamesOfColumnsMayBeginLikeABinaryFile) {
  for (const char* text : {"ORCID,question,answer\r\n1,\ta,b\n", "PAR1,text\n", "PARENT_ID,text\n1,a\n", "PARENTS may ask\n",
                           "BZh,question,answer\n", "ARROW1,text\n", "ORCHESTRA \xC3\xA9\n"}) {
    EXPECT_EQ(text_in("x.csv", text), text);
  }
  const Scratch folder;
  EXPECT_EQ(read_dataset_file(folder.write("x.csv", "ORCID,question,answer\n1,a,b\n"), std::nullopt).kind, RowKind::qa);
}

}  // namespace
}  // namespace lora_dist::data_text_test
