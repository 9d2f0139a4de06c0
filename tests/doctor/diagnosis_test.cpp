// Merges findings of several ranks into one table.
#include "src/doctor/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/comm/single_rank.h"
#include "src/doctor/examine.h"
#include "tests/support/scratch.h"

namespace lora_dist::diagnosis_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Three ranks on two machines; rank 2 differs, and rank 0 reports for the job once.
Diagnosis three_ranks() {
  const std::vector<Finding> usual = {ok("MPI", "fine"), ok("GPU", "H100")};
  std::vector<Finding> first = usual;
  first.push_back(of_job(ok("clocks", "agree")));
  const std::vector<Finding> odd = {ok("MPI", "fine"), broken("GPU", "no driver", "install it", ExitCode::communication)};
  return {{"a", "a", "b"}, put_together({first, usual, odd})};
}

TEST(Diagnosis, EqualFindingsAreOneLine) {
  const Diagnosis diagnosis = three_ranks();
  ASSERT_EQ(diagnosis.lines.size(), 4U);
  EXPECT_THAT(diagnosis.lines[0].ranks, ElementsAre(0, 1, 2));
  EXPECT_THAT(diagnosis.lines[1].ranks, ElementsAre(0, 1));
  EXPECT_THAT(diagnosis.lines[2].ranks, ElementsAre(2));
  EXPECT_EQ(diagnosis.lines[3].finding.check, "clocks");
}

TEST(Diagnosis, TheTableNamesOddRanks) {
  EXPECT_EQ(diagnosis_text(three_ranks()),
            "ok       MPI          fine\n"
            "ok       GPU          ranks 0-1 (a): H100\n"
            "broken   GPU          rank 2 (b): no driver\n"
            "                      fix: install it\n"
            "ok       clocks       agree\n"
            "\n"
            "1 broken; 0 warnings\n");
}

TEST(Diagnosis, Json) {
  const auto json = nlohmann::json::parse(diagnosis_json(three_ranks()));
  EXPECT_EQ(json["exit_code"], 5);
  EXPECT_EQ(json["broken"], 1);
  EXPECT_EQ(json["hosts"].size(), 3U);
  EXPECT_EQ(json["findings"][2]["verdict"], "broken");
  EXPECT_EQ(json["findings"][2]["ranks"], nlohmann::json({2}));
  EXPECT_TRUE(json["findings"][3]["ranks"].is_null());
}

TEST(Diagnosis, ExitCodes) {
  const auto code_of = [](const std::vector<Finding>& findings) { return exit_code_of({{"a"}, put_together({findings})}); };
  EXPECT_EQ(code_of({ok("a", "b"), warning("a", "c", "d")}), ExitCode::done);
  EXPECT_EQ(code_of({broken("space", "none", "some")}), ExitCode::usage);
  EXPECT_EQ(code_of({broken("space", "none", "some"), broken("NCCL", "none", "some", ExitCode::communication)}),
            ExitCode::communication);
}

TEST(Examine, OneRankInAFolderOfItsOwn) {
  const Scratch scratch;
  Examined examined;
  examined.folder = scratch.path();
  examined.backend = Backend::cpu;
  const Diagnosis diagnosis = examine(examined, *make_single_rank(), ProcessInfo{});
  const std::string text = diagnosis_text(diagnosis);
  for (const char* check : {"MPI", "host name", "cores", "GPU", "NCCL", "output.dir", "space", "locking", "permissions", "HDF5",
                            "inputs", "limits", "clocks", "SLURM"}) {
    EXPECT_THAT(text, HasSubstr(std::string(" ") + check + " "));
  }
  EXPECT_THAT(text, Not(HasSubstr("broken   ")));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

/// Without a writable folder, dependent checks are skipped.
TEST(Examine, AFolderThatCannotBeMade) {
  Examined examined;
  examined.folder = "/proc/lora_dist";
  examined.backend = Backend::cpu;
  const Diagnosis diagnosis = examine(examined, *make_single_rank(), ProcessInfo{});
  EXPECT_THAT(diagnosis_text(diagnosis), HasSubstr("broken   output.dir   cannot make a folder in /proc"));
  EXPECT_THAT(diagnosis_text(diagnosis), Not(HasSubstr("locking")));
  EXPECT_EQ(exit_code_of(diagnosis), ExitCode::usage);
}

}  // namespace
}  // namespace lora_dist::diagnosis_test
