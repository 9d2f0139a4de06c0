// The lines of metrics.jsonl and eval.jsonl, and how a resume continues them.
#include "src/report/metrics_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::metrics_log_test {
namespace {

namespace fs = std::filesystem;

class MetricsLogTest : public testing::Test {
 protected:
  std::string content() const {
    std::ifstream file(path_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

  Scratch dir_;
  fs::path path_ = dir_ / "metrics.jsonl";
};

StepMetrics some_step(std::int64_t step) {
  StepMetrics metrics = {.step = step,
                         .epoch = 0.1 * static_cast<double>(step),
                         .loss = 1.0 / 3.0,
                         .learning_rate = 2e-4,
                         .grad_norm = 0.1 + 0.2,
                         .tokens = 4096,
                         .target_tokens = 1024,
                         .seconds = 0.5,
                         .tokens_per_second = 8192.0,
                         .memory_peak_bytes = 1 << 20,
                         .wire = {},
                         .waits = {true, 0.5, 0.125, 0.25},
                         .slowest_rank = 2,
                         .slowest_ratio = 1.5,
                         .saved = SaveTimes{1, 0.0625, 2.5}};
  metrics.wire.bytes = {1, 2, 3, 4};
  return metrics;
}

TEST_F(MetricsLogTest, AStepHasThePromisedFieldsInOrder) {
  EXPECT_EQ(
      to_json_line(some_step(1)),
      R"({"step":1,"epoch":0.1,"loss":0.3333333333333333,"learning_rate":0.0002,"grad_norm":0.30000000000000004,)"
      R"("tokens":4096,"target_tokens":1024,"seconds":0.5,"tokens_per_second":8192.0,"memory_peak_bytes":1048576,)"
      R"("wire_bytes":{"base_gather":1,"adapter_gradient":2,"tensor_activation":3,"control":4},)"
      R"("waited":{"base_gather":0.125,"adapter_gradient":0.25,"gathers_hidden":0.75},"slowest_rank":2,"slowest_ratio":1.5,)"
      R"("checkpoint":{"step":1,"blocked_seconds":0.0625,"seconds":2.5}})");
}

TEST_F(MetricsLogTest, AStepInWhichNoCheckpointWasCommittedHasNone) {
  StepMetrics metrics = some_step(1);
  metrics.saved.reset();
  EXPECT_TRUE(nlohmann::json::parse(to_json_line(metrics)).at("checkpoint").is_null());
}

TEST_F(MetricsLogTest, WaitsThatNobodyKnowsAreNull) {
  StepMetrics metrics = some_step(1);
  metrics.waits.known = false;
  EXPECT_TRUE(nlohmann::json::parse(to_json_line(metrics))["waited"].is_null());
  metrics.waits = {true, 0.0, 0.0, 0.25};  // no gathers
  EXPECT_TRUE(nlohmann::json::parse(to_json_line(metrics))["waited"]["gathers_hidden"].is_null());
  metrics.waits = {true, 0.5, 0.75, 0.0};  // clocks are not exact
  EXPECT_EQ(nlohmann::json::parse(to_json_line(metrics))["waited"]["gathers_hidden"], 0.0);
}

TEST_F(MetricsLogTest, AnEvaluationHasThePromisedFieldsInOrder) {
  const EvalRecord record = {.step = 20,
                             .epoch = 1.0,
                             .loss = 2.5,
                             .perplexity = 12.182493960703473,
                             .samples = 200,
                             .target_tokens = 31234,
                             .seconds = 1.25,
                             .best = true};
  EXPECT_EQ(to_json_line(record), R"({"step":20,"epoch":1.0,"loss":2.5,"perplexity":12.182493960703473,"samples":200,)"
                                  R"("target_tokens":31234,"seconds":1.25,"best":true})");
}

TEST_F(MetricsLogTest, EveryDoubleReadsBackToTheBit) {
  StepMetrics metrics;
  for (const double loss : {0.1, 1.0 / 3.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 7.123456789012345}) {
    metrics.loss = loss;
    EXPECT_EQ(nlohmann::json::parse(to_json_line(metrics))["loss"].get<double>(), loss);
  }
}

TEST_F(MetricsLogTest, NanBecomesNullSoThatTheLineStaysJson) {
  StepMetrics metrics;
  metrics.loss = std::numeric_limits<double>::quiet_NaN();
  metrics.grad_norm = std::numeric_limits<double>::infinity();
  const auto json = nlohmann::json::parse(to_json_line(metrics));
  EXPECT_TRUE(json["loss"].is_null());
  EXPECT_TRUE(json["grad_norm"].is_null());
}

TEST_F(MetricsLogTest, ALineIsInTheFileAsSoonAsItIsAppended) {
  MetricsLog log(path_, -1);
  log.append(some_step(1));
  EXPECT_EQ(content(), to_json_line(some_step(1)) + "\n");
  log.append(some_step(2));
  EXPECT_EQ(content(), to_json_line(some_step(1)) + "\n" + to_json_line(some_step(2)) + "\n");
  log.sync();
}

TEST_F(MetricsLogTest, ResumingDropsTheStepsBeyondTheCheckpointAndAppends) {
  {
    MetricsLog log(path_, -1);
    for (const std::int64_t step : {1, 2, 3, 4}) {
      log.append(some_step(step));
    }
  }
  MetricsLog log(path_, 2);
  log.append(some_step(3));
  EXPECT_EQ(content(), to_json_line(some_step(1)) + "\n" + to_json_line(some_step(2)) + "\n" + to_json_line(some_step(3)) + "\n");
}

TEST_F(MetricsLogTest, ResumingAtTheEndLeavesTheFileAsItIs) {
  { MetricsLog(path_, -1).append(some_step(1)); }
  fs::permissions(path_, fs::perms::owner_read | fs::perms::owner_write);
  const auto written = fs::last_write_time(path_);
  { const MetricsLog log(path_, 1); }
  EXPECT_EQ(fs::last_write_time(path_), written);
  EXPECT_EQ(content(), to_json_line(some_step(1)) + "\n");
}

TEST_F(MetricsLogTest, AHalfWrittenLastLineGoesEvenWhenItsStepWouldStay) {
  const std::string whole = to_json_line(some_step(1));
  for (const std::size_t cut : {std::size_t{1}, whole.size() / 2, whole.size()}) {
    write(whole + "\n" + to_json_line(some_step(2)).substr(0, cut));
    const MetricsLog log(path_, 9);
    EXPECT_EQ(content(), whole + "\n") << cut;
  }
}

TEST_F(MetricsLogTest, LinesThatAreNotOursGo) {
  const std::string whole = to_json_line(some_step(1)) + "\n";
  write("\n[1]\n{\"step\":\"2\"}\n{\"step\":1.5}\n{\"loss\":2}\n{\"step\":-3}\nnot json\n" + whole);
  const MetricsLog log(path_, 9);
  EXPECT_EQ(content(), whole);
}

TEST_F(MetricsLogTest, AFreshRunStartsEmpty) {
  EvalRecord base;  // step 0: kept by a resume, not by a fresh run
  { MetricsLog(path_, -1).append(base); }
  { const MetricsLog log(path_, 0); }
  EXPECT_EQ(content(), to_json_line(base) + "\n");
  { const MetricsLog log(path_, -1); }
  EXPECT_EQ(content(), "");
}

TEST_F(MetricsLogTest, AnUnwritableFolderIsNamed) {
  try {
    const MetricsLog log(dir_ / "missing" / "metrics.jsonl", -1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(std::string(error.what()), "cannot append to " + (dir_ / "missing" / "metrics.jsonl").string() +
                                             ": No such file or directory (output.dir says where it is)");
  }
}

}  // namespace
}  // namespace lora_dist::metrics_log_test
