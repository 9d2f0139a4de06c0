// Checkpoints: saving, loading on other numbers of ranks, damage of every kind, pruning.
#include "src/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <unistd.h>

#include <random>

#include "kernels/common/check.h"
#include "src/checkpoint/content.h"
#include "src/checkpoint/folders.h"
#include "src/checkpoint/shard.h"
#include "src/comm/single_rank.h"
#include "tests/checkpoint/sample_run.h"
#include "tests/support/scratch.h"

namespace lora_dist::checkpoint_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Checkpoint : public testing::Test {
 protected:
  fs::path save(std::int64_t step, std::int64_t keep = 0) {
    return save_checkpoint(*comm_, scratch_.path(), sample_identity(), sample_state(step), keep).path;
  }
  TrainingState load(const fs::path& path, const CheckpointIdentity& identity = sample_identity()) {
    return load_checkpoint(*comm_, path, identity);
  }
  SoundCheckpoint newest() { return newest_sound_checkpoint(*comm_, scratch_.path()); }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(scratch_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  /// Writes the checkpoint of `ranks` ranks.
  fs::path write_as(int ranks, std::int64_t step) { return write_as(ranks, sample_state(step)); }
  fs::path write_as(int ranks, const TrainingState& state) {
    const fs::path path = scratch_ / checkpoint_name(state.step);
    fs::create_directory(path);
    Manifest manifest{sample_identity(), state, {}, {}, "", ""};
    for (int rank = 0; rank < ranks; ++rank) {
      const ShardRange range = shard_range(static_cast<std::int64_t>(state.params.size()), rank, ranks);
      const StateBuffers elements = elements_of(buffers_of(state), range);
      manifest.shards.push_back(write_shard(path, rank, range, elements));
      EXPECT_EQ(content_sha256(path, manifest.shards.back(), elements), content_sha256(elements));
    }
    digest_content(buffers_of(state), manifest);
    put_file(path / "MANIFEST.json", seal_manifest(manifest_to_json(manifest)));
    return path;
  }

  static void flip_bit(const fs::path& file, std::size_t byte) {
    std::string content = get_file(file);
    content.at(byte) ^= 4;
    put_file(file, content);
  }

  Scratch scratch_;
  std::unique_ptr<Communicator> comm_ = make_single_rank();
};

TEST_F(Checkpoint, RoundTripToTheBit) {
  const fs::path path = save(100);
  EXPECT_EQ(path, scratch_ / "step_00000100");
  EXPECT_THAT(names(), ElementsAre("step_00000100"));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre());
  EXPECT_TRUE(same_state(load(path), sample_state(100)));
}

TEST_F(Checkpoint, LoadsWhatAnyNumberOfRanksWrote) {
  for (const int ranks : {1, 2, 3, 4, 7, 24, 30}) {  // 30: six shards are empty
    const fs::path path = write_as(ranks, ranks);
    EXPECT_THAT(verify_checkpoint(path), ElementsAre()) << ranks;
    EXPECT_TRUE(same_state(load(path), sample_state(ranks))) << ranks;
  }
}

/// AdaLoRA's buffers, on one rank and where some shards are empty.
TEST_F(Checkpoint, HoldsTheBuffersOfAMethod) {
  for (const int ranks : {1, 3, 30}) {
    TrainingState state = sample_state(ranks);
    for (int i = 0; i < 24; ++i) {
      state.sensitivity.push_back(std::cos(static_cast<float>(i)));
      state.uncertainty.push_back(static_cast<float>(i) * 0.25F);
    }
    const fs::path path = write_as(ranks, state);
    EXPECT_THAT(verify_checkpoint(path), ElementsAre()) << ranks;
    const TrainingState read = load(path);
    EXPECT_TRUE(same_state(read, state));
    EXPECT_EQ(read.sensitivity, state.sensitivity);
    EXPECT_EQ(read.uncertainty, state.uncertainty);
  }
}

TEST_F(Checkpoint, AnAdapterOfNoTensors) {
  CheckpointIdentity identity = sample_identity();
  identity.tensors.clear();
  TrainingState state = sample_state(1);
  state.params.clear();
  state.m.clear();
  state.v.clear();
  EXPECT_TRUE(same_state(load(save_checkpoint(*comm_, scratch_.path(), identity, state, 0).path, identity), state));
}

TEST(ShardRange, CoversEverythingEvenly) {
  for (const std::int64_t count : {0, 1, 23, 24, 25, 1000}) {
    for (const int ranks : {1, 2, 3, 7, 30}) {
      std::int64_t due = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const ShardRange range = shard_range(count, rank, ranks);
        EXPECT_EQ(range.begin, due);
        EXPECT_GE(range.end - range.begin, count / ranks);
        EXPECT_LE(range.end - range.begin, count / ranks + 1);
        due = range.end;
      }
      EXPECT_EQ(due, count);
    }
  }
}

TEST_F(Checkpoint, SavingAStepAgainReplacesIt) {
  save(5);
  TrainingState other = sample_state(5);
  other.params[0] = 9;
  save_checkpoint(*comm_, scratch_.path(), sample_identity(), other, 0);
  EXPECT_TRUE(same_state(load(scratch_ / "step_00000005"), other));
  EXPECT_THAT(names(), ElementsAre("step_00000005"));
}

TEST_F(Checkpoint, KeepsTheNewest) {
  for (const std::int64_t step : {10, 20, 30}) {
    save(step, 2);
  }
  EXPECT_THAT(names(), ElementsAre("step_00000020", "step_00000030"));
  save(40, 0);
  EXPECT_THAT(names(), ElementsAre("step_00000020", "step_00000030", "step_00000040"));
  save(50, 1);
  EXPECT_THAT(names(), ElementsAre("step_00000050"));
}

TEST_F(Checkpoint, NeverRemovesWhatItDoesNotRecognise) {
  save(10);
  save(20);
  put_file(scratch_ / "step_00000010/notes.txt", "mine");
  fs::create_directory(scratch_ / "step_best");
  fs::create_directory(scratch_ / "step_3");
  put_file(scratch_ / "step_00000001", "a file");
  fs::create_directory(scratch_ / ".tmp-mine");
  fs::create_directory_symlink(scratch_ / "step_00000010", scratch_ / "step_00000005");
  save(90);  // of a later step than the next: not older, so not pruned
  save(30, 1);
  EXPECT_THAT(names(), ElementsAre(".tmp-mine", "step_00000001", "step_00000005", "step_00000010", "step_00000030",
                                   "step_00000090", "step_3", "step_best"));
  EXPECT_TRUE(fs::exists(scratch_ / "step_00000010/notes.txt"));
}

TEST_F(Checkpoint, ClearsLeftoversOfKilledSaves) {
  fs::create_directory(scratch_ / ".tmp-step_00000007");
  put_file(scratch_ / ".tmp-step_00000007/shard_00000.h5", "half");
  fs::create_directory(scratch_ / ".tmp-step_00000008");
  put_file(scratch_ / ".tmp-step_00000008/thesis.txt", "mine");
  save(10);
  EXPECT_THAT(names(), ElementsAre(".tmp-step_00000008", "step_00000010"));
}

TEST_F(Checkpoint, FindsNewestFirst) {
  EXPECT_THAT(find_checkpoints(scratch_ / "none"), ElementsAre());
  for (const char* name : {"step_00000009", "step_00000100", "step_123456789", "step_x", "step_", "step_1", ".tmp-step_00000011",
                           "step_0000001a", "step_99999999999999999999"}) {
    fs::create_directory(scratch_ / name);
  }
  EXPECT_THAT(find_checkpoints(scratch_.path()),
              ElementsAre(scratch_ / "step_123456789", scratch_ / "step_00000100", scratch_ / "step_00000009"));
  put_file(scratch_ / "file", "");
  EXPECT_THAT(thrown_by([&] { find_checkpoints(scratch_ / "file"); }).message, HasSubstr("cannot read the folder"));
}

TEST_F(Checkpoint, AnotherBaseModelIsNamedByBothHashes) {
  const fs::path path = save(1);
  CheckpointIdentity other = sample_identity();
  other.base_model_hash = "bbbb2222";
  const Thrown error = thrown_by([&] { load(path, other); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr(path.string()), HasSubstr("belongs to another base model"), HasSubstr("aaaa1111"),
                                   HasSubstr("bbbb2222")));
}

TEST_F(Checkpoint, ADifferentSettingIsNamedWithBothValues) {
  const fs::path path = save(1);
  CheckpointIdentity other = sample_identity();
  other.settings["adapter.r"] = 4;
  other.settings["train.seed"] = 1;
  Thrown error = thrown_by([&] { load(path, other); });
  EXPECT_EQ(error.code, ExitCode::usage);
  EXPECT_EQ(error.message,
            path.string() +
                " was trained with adapter.r = 2, and now it is 4; change it back to go on, or set checkpoint.resume = "
                "\"never\" or another output.dir to start anew");
  other = sample_identity();
  other.settings["model.new"] = "x";
  EXPECT_THAT(thrown_by([&] { load(path, other); }).message, HasSubstr("with model.new = not set, and now it is x"));
  other = sample_identity();
  other.settings.erase("train.seed");
  EXPECT_THAT(thrown_by([&] { load(path, other); }).message, HasSubstr("with train.seed = 42, and now it is not set"));
}

TEST_F(Checkpoint, SettingsThatAreNotUtf8StillCompareEqual) {
  CheckpointIdentity identity = sample_identity();
  identity.settings["model.path"] = "caf\xe9";
  const fs::path path = save_checkpoint(*comm_, scratch_.path(), identity, sample_state(1), 0).path;
  EXPECT_TRUE(same_state(load(path, identity), sample_state(1)));
}

TEST_F(Checkpoint, OtherTensorsAreNamed) {
  const fs::path path = save(1);
  CheckpointIdentity other = sample_identity();
  other.tensors[1].shape = {2, 5};
  Thrown error = thrown_by([&] { load(path, other); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(
      error.message,
      HasSubstr(
          "holds model.layers.0.self_attn.q_proj.lora_B [5,2] where this run has model.layers.0.self_attn.q_proj.lora_B [2,5]"));
  other = sample_identity();
  other.tensors.pop_back();
  EXPECT_THAT(thrown_by([&] { load(path, other); }).message, HasSubstr("where this run has no further tensor"));
}

TEST_F(Checkpoint, InconsistentArgumentsAreAProgrammingError) {
  TrainingState state = sample_state(1);
  state.m.pop_back();
  EXPECT_THROW(save_checkpoint(*comm_, scratch_.path(), sample_identity(), state, 0), KernelError);
  CheckpointIdentity identity = sample_identity();
  identity.tensors[1].offset = 13;
  EXPECT_THROW(save_checkpoint(*comm_, scratch_.path(), identity, sample_state(1), 0), KernelError);
}

TEST_F(Checkpoint, DamageIsNamed) {
  const fs::path path = write_as(3, 1);
  const fs::path shard = path / "shard_00001.h5";
  const std::string sound = get_file(shard);
  flip_bit(shard, sound.size() / 2);
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(AllOf(HasSubstr(shard.string() + " is damaged: SHA-256 "),
                                                         HasSubstr(" expected, "), HasSubstr(" found"))));
  put_file(shard, sound.substr(1));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(shard.string() + " has " + std::to_string(sound.size() - 1) +
                                                   " bytes, and its manifest says " + std::to_string(sound.size())));
  fs::remove(shard);
  EXPECT_THAT(verify_checkpoint(path), ElementsAre("cannot open " + shard.string() + ": No such file or directory"));
  put_file(path / "shard_00000.h5", "");
  EXPECT_EQ(verify_checkpoint(path).size(), 2U);
  const Thrown error = thrown_by([&] { load(path); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr("the checkpoint " + path.string() + " is not sound: "), HasSubstr("shard_00001.h5"),
                                   HasSubstr("resume from an older one")));
  fs::remove(path / "MANIFEST.json");
  EXPECT_THAT(verify_checkpoint(path),
              ElementsAre("cannot open " + (path / "MANIFEST.json").string() + ": No such file or directory"));
  EXPECT_EQ(verify_checkpoint(scratch_ / "nothing").size(), 1U);
}

TEST_F(Checkpoint, ContentThatDisagreesWithItsDigestsIsNamed) {
  const fs::path path = write_as(2, 1);
  nlohmann::json manifest = nlohmann::json::parse(get_file(path / "MANIFEST.json"));
  manifest["tensors"][1]["sha256"] = std::string(64, '0');
  manifest["v_sha256"] = std::string(64, '1');
  put_file(path / "MANIFEST.json", seal_manifest(manifest));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(HasSubstr("tensor model.layers.0.self_attn.q_proj.lora_B has SHA-256"),
                                                   HasSubstr("the second moment v has SHA-256")));
  EXPECT_THAT(thrown_by([&] { load(path); }).message, HasSubstr("is not sound"));
}

TEST_F(Checkpoint, ShardsThatAreSoundButSwappedAreNamed) {
  const fs::path path = write_as(2, 1);
  fs::rename(path / "shard_00000.h5", path / "x");
  fs::rename(path / "shard_00001.h5", path / "shard_00000.h5");
  fs::rename(path / "x", path / "shard_00001.h5");
  nlohmann::json manifest = nlohmann::json::parse(get_file(path / "MANIFEST.json"));
  std::swap(manifest["shards"][0]["sha256"], manifest["shards"][1]["sha256"]);
  std::swap(manifest["shards"][0]["bytes"], manifest["shards"][1]["bytes"]);
  put_file(path / "MANIFEST.json", seal_manifest(manifest));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(HasSubstr("shard_00000.h5 holds other elements than its manifest says")));
}

TEST_F(Checkpoint, AbsurdCountsAreRefusedBeforeAnythingIsAllocated) {
  const fs::path path = write_as(2, 1);
  nlohmann::json manifest = nlohmann::json::parse(get_file(path / "MANIFEST.json"));
  manifest["tensors"][1]["shape"] = {std::int64_t{1} << 58};
  manifest["shards"][1]["end"] = 14 + (std::int64_t{1} << 58);
  put_file(path / "MANIFEST.json", seal_manifest(manifest));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(HasSubstr("gives shard_00001.h5 288230376151711746 elements in ")));
  manifest["shards"][1]["bytes"] = std::int64_t{1} << 62;
  put_file(path / "MANIFEST.json", seal_manifest(manifest));
  EXPECT_THAT(verify_checkpoint(path), ElementsAre(HasSubstr("bytes, and its manifest says 4611686018427387904")));
  EXPECT_EQ(thrown_by([&] { load(path); }).code, ExitCode::model);
}

TEST_F(Checkpoint, NoFlippedByteIsEverLoaded) {
  const fs::path path = write_as(2, 1);
  std::mt19937 random(7);
  for (const char* name : {"MANIFEST.json", "shard_00000.h5", "shard_00001.h5"}) {
    const std::string sound = get_file(path / name);
    for (int i = 0; i < 400; ++i) {
      std::string changed = sound;
      const std::size_t at = random() % sound.size();
      if (i % 10 == 9) {
        changed.resize(at);
      } else if (i % 10 == 8) {
        changed.insert(at, 1, sound[at]);
      } else if (i % 10 == 7) {
        changed[at] = changed[at] == ' ' ? '\n' : ' ';  // white space that JSON does not care about
      } else {
        changed[at] = static_cast<char>(changed[at] ^ (1 << (random() % 8)));
      }
      if (changed == sound) {
        continue;
      }
      put_file(path / name, changed);
      ASSERT_FALSE(verify_checkpoint(path).empty()) << name << " byte " << at;
      ASSERT_EQ(thrown_by([&] { load(path); }).code, ExitCode::model) << name << " byte " << at;
    }
    put_file(path / name, sound);
  }
  EXPECT_TRUE(same_state(load(path), sample_state(1)));
}

TEST_F(Checkpoint, FallsBackToTheNewestSoundOne) {
  EXPECT_FALSE(newest().path.has_value());
  save(10);
  save(20);
  save(30);
  EXPECT_EQ(newest().path, scratch_ / "step_00000030");
  EXPECT_THAT(newest().warnings, ElementsAre());
  flip_bit(scratch_ / "step_00000030/shard_00000.h5", 1000);
  fs::remove(scratch_ / "step_00000020/MANIFEST.json");
  const SoundCheckpoint found = newest();
  EXPECT_EQ(found.path, scratch_ / "step_00000010");
  EXPECT_THAT(found.warnings,
              ElementsAre(AllOf(HasSubstr("passing over the checkpoint"), HasSubstr("step_00000030"), HasSubstr("is damaged")),
                          AllOf(HasSubstr("step_00000020"), HasSubstr("MANIFEST.json: No such file"))));
  fs::remove(scratch_ / "step_00000010/shard_00000.h5");
  const Thrown error = thrown_by([&] { newest(); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr("holds 3 checkpoints and none is sound"), HasSubstr("is damaged"),
                                   HasSubstr("restore one from a copy")));
}

TEST_F(Checkpoint, AFullDiskLeavesTheEarlierOneUntouched) {
  const fs::path small = scratch_ / "small";
  fs::create_directory(small);
  if (::geteuid() != 0 || ::mount("none", small.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "a small file system can only be mounted by root";
  }
  const fs::path sound = save_checkpoint(*comm_, small, sample_identity(), sample_state(1), 1).path;
  put_file(small / "ballast", std::string(40'000, 'x'));
  CheckpointIdentity identity = sample_identity();
  identity.tensors = {{"a.lora_A", {10'000}, 0, 10'000}};
  TrainingState state = sample_state(2);
  state.params.assign(10'000, 1);
  state.m = state.v = state.params;
  const Thrown error = thrown_by([&] { save_checkpoint(*comm_, small, identity, state, 1); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("No space left on device"));
  EXPECT_THAT(find_checkpoints(small), ElementsAre(sound));
  EXPECT_FALSE(fs::exists(small / ".tmp-step_00000002"));
  EXPECT_TRUE(same_state(load(sound), sample_state(1)));
  EXPECT_EQ(::umount(small.c_str()), 0);
}

TEST_F(Checkpoint, AnUnwritableFolderIsNamed) {
  put_file(scratch_ / "file", "");
  const Thrown error = thrown_by([&] { save_checkpoint(*comm_, scratch_ / "file", sample_identity(), sample_state(1), 1); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr((scratch_ / "file").string()));
}

}  // namespace
}  // namespace lora_dist::checkpoint_test
