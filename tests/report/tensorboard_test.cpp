// Event files compared with TensorBoard's own writer (tests/golden/make_tensorboard_records.py).
#include "src/report/tensorboard.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::tensorboard_test {
namespace {

namespace fs = std::filesystem;

std::string hex(std::string_view bytes) {
  std::ostringstream text;
  text << std::hex;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned>(static_cast<unsigned char>(byte));
    text << (value < 16 ? "0" : "") << value;
  }
  return text.str();
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// RFC 3720 B.4.
TEST(Crc32c, EqualsTheRfc) {
  std::string ascending(32, '\0');
  for (int i = 0; i < 32; ++i) {
    ascending[static_cast<std::size_t>(i)] = static_cast<char>(i);
  }
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c(ascending), 0x46dd794eU);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(TensorBoardRecords, EqualTensorBoardsToTheByte) {
  const auto golden = nlohmann::json::parse(read(std::string(LORA_DIST_SOURCE_DIR) + "/tests/golden/tensorboard_records.json"));
  const double wall_time = golden["wall_time"];
  const std::int64_t step = golden["step"];
  std::vector<std::string> tags;
  for (const auto& scalar : golden["scalars"]) {
    tags.push_back(scalar["tag"]);
  }
  std::vector<Scalar> scalars;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    scalars.push_back({.tag = tags[i], .value = golden["scalars"][i]["value"]});
  }
  EXPECT_EQ(hex(tfrecord(file_version_event(wall_time))), golden["file_version"].get<std::string>());
  EXPECT_EQ(hex(tfrecord(session_start_event(wall_time, step))), golden["session_start"].get<std::string>());
  EXPECT_EQ(hex(tfrecord(scalars_event(wall_time, step, scalars))), golden["summary"].get<std::string>());
}

class TensorBoardWriterTest : public testing::Test {
 protected:
  Scratch dir_;
};

TEST_F(TensorBoardWriterTest, EveryStepIsAWholeRecordInTheFileAtOnce) {
  TensorBoardWriter writer(dir_ / "tensorboard", 4);
  const std::size_t header = read(writer.path()).size();
  EXPECT_EQ(header, tfrecord(file_version_event(0)).size() + tfrecord(session_start_event(0, 5)).size());
  const std::vector<Scalar> scalars = {{.tag = "train/loss", .value = 2.5}};
  writer.add_scalars(5, scalars);
  const std::string content = read(writer.path());
  EXPECT_EQ(content.size(), header + tfrecord(scalars_event(0, 5, scalars)).size());
  // After the wall time (nine bytes) and the framing before it (twelve bytes) the record does not depend on the time.
  const std::string payload = scalars_event(0, 5, scalars);
  EXPECT_EQ(content.substr(header + 12 + 9, payload.size() - 9), payload.substr(9));
}

TEST_F(TensorBoardWriterTest, ALaterFileOfTheSameSecondSortsBehind) {
  const TensorBoardWriter first(dir_.path(), -1);
  const TensorBoardWriter second(dir_.path(), 3);
  const TensorBoardWriter third(dir_.path(), 5);
  EXPECT_LT(first.path().filename().string(), second.path().filename().string());
  EXPECT_LT(second.path().filename().string(), third.path().filename().string());
  EXPECT_TRUE(first.path().filename().string().starts_with("events.out.tfevents."));
}

TEST_F(TensorBoardWriterTest, AFileThatCannotBeMadeIsNamed) {
  std::ofstream(dir_ / "tensorboard") << "a file where the folder should be";
  try {
    const TensorBoardWriter writer(dir_ / "tensorboard", -1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find((dir_ / "tensorboard").string()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("output.dir"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lora_dist::tensorboard_test
