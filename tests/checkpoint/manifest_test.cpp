// The manifest: writing, reading back, and rejection of a wrong byte or field.
#include "src/checkpoint/manifest.h"

#include <gmock/gmock.h>

#include "tests/checkpoint/sample_run.h"

namespace lora_dist::manifest_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kDigest(64, 'a');

json sample_document() {
  TrainingState state = sample_state(3);
  Manifest manifest{sample_identity(), state, {}, {kDigest, kDigest}, kDigest, kDigest};
  manifest.shards = {{"shard_00000.h5", 0, 20, 4000, kDigest}, {"shard_00001.h5", 20, 24, 4000, kDigest}};
  return manifest_to_json(manifest);
}

std::string problem_of(const std::string& text) {
  try {
    parse_manifest(text);
  } catch (const ManifestError& e) {
    return e.what();
  }
  return "none";
}

TEST(Manifest, RoundTrip) {
  const std::string text = seal_manifest(sample_document());
  const Manifest manifest = parse_manifest(text);
  EXPECT_EQ(manifest.identity.tensors, sample_identity().tensors);
  EXPECT_EQ(manifest.identity.settings, sample_identity().settings);
  EXPECT_EQ(manifest.state.seed, sample_state(3).seed);
  EXPECT_EQ(manifest.state.progress, sample_state(3).progress);
  EXPECT_EQ(manifest.shards[1].begin, 20);
  EXPECT_EQ(seal_manifest(manifest_to_json(manifest)), text);
  EXPECT_EQ(seal_manifest(json::parse(text)), text);  // sealing again changes nothing
}

TEST(Manifest, SaysWhatIsWrongWithTheText) {
  const std::string sound = seal_manifest(sample_document());
  EXPECT_THAT(problem_of(""), HasSubstr("is not valid JSON"));
  EXPECT_THAT(problem_of(sound.substr(0, sound.size() / 2)), HasSubstr("is not valid JSON"));
  EXPECT_THAT(problem_of(std::string(1'000'000, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_EQ(problem_of("[]"), "is not the manifest of a checkpoint");
  EXPECT_EQ(problem_of("{}"), "is not the manifest of a checkpoint");
  EXPECT_EQ(problem_of(R"({"format":1})"), "has no text in the field format");
  EXPECT_EQ(problem_of(R"({"format":"x"})"), "lacks the field manifest_sha256");
  EXPECT_THAT(problem_of(sound + " "), HasSubstr("was changed after it was written"));
  json changed = json::parse(sound);
  changed["step"] = 4;
  EXPECT_THAT(problem_of(changed.dump(2) + "\n"), HasSubstr("was changed after it was written"));
  changed["format"] = "lora_dist checkpoint 2";
  EXPECT_EQ(problem_of(seal_manifest(changed)),
            "has the format \"lora_dist checkpoint 2\", and this program reads \"lora_dist checkpoint 1\"");
}

struct Lie {
  const char* where;  // JSON pointer
  const char* value;  // as JSON; "" removes the field
  const char* says;
};

// Each change gets a valid digest, so that the field checks are tested.
TEST(Manifest, RefusesEveryLie) {
  const Lie lies[] = {
      {"/step", "-1", "has no count in the field step"},
      {"/step", "1.5", "has no count in the field step"},
      {"/step", "9223372036854775808", "has no count in the field step"},
      {"/step", "", "lacks the field step"},
      {"/optimizer_step", "null", "has no count in the field optimizer_step"},
      {"/settings", "[]", "has no object in the field settings"},
      {"/progress", "1", "has no object in the field progress"},
      {"/sampler", "{}", "lacks the field epoch"},
      {"/random/generator", "\"mt19937\"", "has a random state that this program does not know"},
      {"/random/seed", "-1", "has a random state that this program does not know"},
      {"/program_version", "1", "has no text in the field program_version"},
      {"/base_model_sha256", "", "lacks the field base_model_sha256"},
      {"/tensors", "{}", "has no list of objects in the field tensors"},
      {"/tensors/0", "1", "has no list of objects in the field tensors"},
      {"/tensors/0/shape", "7", "has no shape for tensor"},
      {"/tensors/0/shape", "[2,-7]", "has no count in the field shape"},
      {"/tensors/0/shape", "[4611686018427387904,4]", "more elements than can be counted"},
      {"/tensors/0/shape", "[1,1,1,1,1,1,1,1,14]", "has no shape for tensor"},
      {"/tensors/1/shape", "[9223372036854775807]", "puts tensor model.layers.0.self_attn.q_proj.lora_B at element 14"},
      {"/tensors/1/offset", "13", "at element 13, where 14 was due"},
      {"/tensors/1/sha256", "\"xyz\"", "has no SHA-256 in the field sha256"},
      {"/shards", "[]", "has shards for 0 elements and tensors of 24"},
      {"/shards/0/file", "\"../../etc/passwd\"", "names shard 0 ../../etc/passwd instead of shard_00000.h5"},
      {"/shards/1/file", "\"shard_00000.h5\"", "names shard 1 shard_00000.h5 instead of shard_00001.h5"},
      {"/shards/1/begin", "19", "gives shard_00001.h5 elements 19 to 24, where 20 was due first"},
      {"/shards/1/end", "19", "gives shard_00001.h5 elements 20 to 19"},
      {"/shards/1/end", "25", "has shards for 25 elements and tensors of 24"},
      {"/shards/1/bytes", "47", "gives shard_00001.h5 4 elements in 47 bytes"},
      {"/shards/1/end", "9223372036854775807", "gives shard_00001.h5 9223372036854775787 elements in 4000 bytes"},
      {"/shards/0/sha256", "5", "has no text in the field sha256"},
      {"/m_sha256", "\"\"", "has no SHA-256 in the field m_sha256"},
      {"/v_sha256", "", "lacks the field v_sha256"},
  };
  EXPECT_EQ(problem_of(seal_manifest(sample_document())), "none");
  for (const Lie& lie : lies) {
    json document = sample_document();
    const json::json_pointer where(lie.where);
    if (*lie.value == '\0') {
      document.at(where.parent_pointer()).erase(where.back());
    } else {
      document.at(where) = json::parse(lie.value);
    }
    EXPECT_THAT(problem_of(seal_manifest(document)), HasSubstr(lie.says)) << lie.where << " " << lie.value;
  }
}

}  // namespace
}  // namespace lora_dist::manifest_test
