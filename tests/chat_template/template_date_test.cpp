// Converts days to the time that templates print, and back.
#include "src/chat_template/template_date.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "src/chat_template/chat_template.h"

namespace lora_dist::template_date_test {
namespace {

/// A time zone for one scope; the test program has one thread.
struct Zone {
  explicit Zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

TEST(TemplateDate, NoonIsOnThatDayInEveryTimeZone) {
  ChatTemplate chat_template = parse_chat_template("{{ strftime_now('%d %b %Y %H') }}", "x.jinja", false);
  for (const char* zone : {"UTC", "Asia/Seoul", "Pacific/Kiritimati", "America/Sao_Paulo", "XXX+12", "YYY-14"}) {
    const Zone here(zone);
    for (const char* day : {"2026-11-26", "2018-11-04", "2000-02-29", "1969-12-31"}) {
      chat_template.now = noon_of(day);
      ASSERT_TRUE(chat_template.now) << zone << day;
      const std::string text = render_chat(chat_template, {nlohmann::ordered_json::array()}).text;
      EXPECT_EQ(text.substr(7), std::string(day).substr(0, 4) + " 12") << zone << day;
      EXPECT_EQ(text.substr(0, 2), std::string(day).substr(8)) << zone << day;
    }
  }
}

TEST(TemplateDate, WhatIsNoDay) {
  for (const char* text :
       {"", "today", "2026-11", "2026-02-30", "2026-13-01", "2026-11-26 ", "26-11-2026", "2026-1-2", "-026-01-01"}) {
    EXPECT_FALSE(noon_of(text)) << text;
  }
}

TEST(TemplateDate, TodayIsThatOfTheEnvironmentWhereItTells) {
  const Zone here("UTC");
  ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  EXPECT_EQ(chat_template_today(), "2023-11-14");
  EXPECT_EQ(chat_template_time(), 1700000000);
  ::unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_TRUE(noon_of(chat_template_today()));
}

TEST(TemplateDate, TemplatesThatAskForIt) {
  ChatTemplate plain = parse_chat_template("{{ messages }}", "x.jinja", false);
  EXPECT_FALSE(asks_for_date(plain));
  plain.with_tools = std::make_shared<const ChatTemplate>(parse_chat_template("{{ strftime_now('%Y') }}", "x.jinja", false));
  EXPECT_TRUE(asks_for_date(plain));
  plain.now = noon_of("2001-01-01");
  EXPECT_EQ(render_chat(plain, {nlohmann::ordered_json::array(), nlohmann::ordered_json::array()}).text, "2001");
}

}  // namespace
}  // namespace lora_dist::template_date_test
