// The protobuf of tokenizer.model: what is read of it, and bytes that are none.
#include "src/tokenizer/sentencepiece_file.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::sentencepiece_file_test {
namespace {

TEST(SentencePieceFile, TheDemoModel) {
  const SentencePieceFile file = read_sentencepiece_file(get_file(demo_model() / "tokenizer.model"));
  ASSERT_EQ(file.pieces.size(), 512U);
  EXPECT_EQ(file.pieces[0].text, "<unk>");
  EXPECT_EQ(file.pieces[0].type, PieceType::unknown);
  EXPECT_EQ(file.pieces[1].type, PieceType::control);
  EXPECT_EQ(file.pieces[13].type, PieceType::byte);
  EXPECT_EQ(file.pieces[259].type, PieceType::normal);
  EXPECT_EQ(file.pieces[259].score, 0.0F);
  EXPECT_EQ(file.pieces[260].score, -1.0F);
  EXPECT_TRUE(file.is_bpe);
  EXPECT_TRUE(file.byte_fallback);
  EXPECT_TRUE(file.dummy_prefix);
  EXPECT_TRUE(file.has_bos);
  EXPECT_EQ(file.bos, "<s>");
}

TEST(SentencePieceFile, FieldsByTheirNumbers) {
  using namespace std::string_literals;
  // trainer_spec { model_type 1, byte_fallback, unk_id -1, bos_id -1, unk_piece "u" }, normalizer_spec { charsmap "c", no dummy
  // prefix, spaces as they are, not escaped }, and fields of other numbers and types.
  const std::string minus_one = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s;
  const std::string trainer = "\x18\x01\x98\x02\x01\xC0\x02"s + minus_one + "\xC8\x02"s + minus_one + "\xEA\x02\x01u"s;
  const std::string normalizer =
      "\x12\x01"
      "c\x18\x00\x20\x00\x28\x00"s;
  const auto message = [](char key, const std::string& bytes) {
    return std::string(1, key) + static_cast<char>(bytes.size()) + bytes;
  };
  const SentencePieceFile file = read_sentencepiece_file(message('\x12', trainer) + message('\x1A', normalizer) +
                                                         "\x79"
                                                         "12345678\x7D"
                                                         "1234"s);
  EXPECT_FALSE(file.is_bpe);
  EXPECT_TRUE(file.byte_fallback);
  EXPECT_FALSE(file.has_unk);
  EXPECT_FALSE(file.has_bos);
  EXPECT_TRUE(file.has_eos);
  EXPECT_EQ(file.unk, "u");
  EXPECT_TRUE(file.has_charsmap);
  EXPECT_FALSE(file.dummy_prefix);
  EXPECT_FALSE(file.merges_spaces);
  EXPECT_FALSE(file.escapes_spaces);
}

TEST(SentencePieceFile, WordsAndCharactersAreNoBpe) {
  for (const char type : {1, 2, 3, 4}) {  // unigram, BPE, word, char
    EXPECT_EQ(read_sentencepiece_file(std::string("\x12\x02\x18") + type).is_bpe, type == 2);
  }
  EXPECT_FALSE(read_sentencepiece_file("").is_bpe);
}

TEST(SentencePieceFile, BytesThatAreNone) {
  using namespace std::string_literals;
  const auto error = [](const std::string& bytes) -> std::string {
    try {
      read_sentencepiece_file(bytes);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error("\x0A\x05"
                  "ab"s),
            "a field is cut off");
  EXPECT_EQ(error("\x0D"
                  "ab"s),
            "a field is cut off");
  EXPECT_EQ(error("\x08\xFF"s), "a number is cut off");
  EXPECT_EQ(error("\x0B"s), "a field has an unknown type");
  EXPECT_EQ(error("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s), "a field is cut off");
  const std::string whole = get_file(demo_model() / "tokenizer.model");
  for (const std::size_t size : {std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_NE(error(whole.substr(0, size)), "no error") << size;
  }
}

}  // namespace
}  // namespace lora_dist::sentencepiece_file_test
