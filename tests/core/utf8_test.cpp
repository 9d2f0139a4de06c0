// UTF-8 against the examples of the Unicode standard.
#include <gtest/gtest.h>

#include "src/core/utf8.h"

namespace lora_dist::utf8_test {
namespace {

TEST(Utf8, MaximalSubparts) {
  // The examples of the Unicode standard, section 3.9, table 3-8 and the text around it.
  EXPECT_EQ(to_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\x41");
  EXPECT_EQ(to_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\x41");
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));
  EXPECT_TRUE(is_utf8("\xED\x9F\xBF"));
  EXPECT_EQ(leading_space("\xE3\x80\x80 x"), 4U);
  EXPECT_EQ(trailing_space("x \xC2\xA0"), 3U);
}

}  // namespace
}  // namespace lora_dist::utf8_test
