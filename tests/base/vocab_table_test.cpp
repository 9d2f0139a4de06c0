// Embedding and head in vocabulary chunks, divided over ranks: the same bits for any number of ranks.
#include <gtest/gtest.h>

#include "benchmarks/random_model.h"
#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::vocab_table_test {
namespace {

using test::OpenedModel;
using test::source;

constexpr std::int64_t kSmallChunks = 128 * 48;  // elements: at hidden 48 a chunk of 128 rows

/// A model with an untied head; 701 ids are five chunks of kSmallChunks.
void write_untied(const std::filesystem::path& folder, std::int64_t vocab = 701) {
  ModelSpec spec = benchmarks::hidden_512();
  spec.hidden = 48;
  spec.layers = 3;
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 12;
  spec.intermediate = 64;
  spec.vocab = vocab;
  benchmarks::write_random_model(folder, spec);
}

test::TestBatch pass_of(std::int64_t vocab, int tokens) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < tokens; ++i) {
    ids.push_back(static_cast<std::int32_t>((i * 37 + 5) % vocab));
  }
  test::TestBatch pass;
  pass.add(ids, ids);
  pass.add({static_cast<std::int32_t>(vocab - 1), 0, 3}, {-100, 0, -100});
  return pass;
}

/// The results of a micro-batch: the loss, without and with gradients, the gradients, and the logits after a prompt.
struct Outcome {
  double loss = 0.0;
  double trained_loss = 0.0;
  std::vector<float> gradients;
  std::vector<float> next;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome_of(const std::filesystem::path& folder, Communicator& comm, std::int64_t chunk_elements, const MicroBatch& pass,
                   bool divides = true) {
  const AdapterSpec adapter{4, 8.0, 0.0, false, {"all-linear"}};
  OpenedModel opened(folder, {Quantization::nf4, true}, comm, 320, Recompute::block, &adapter, chunk_elements, divides);
  initialize_adapters(opened.layout, 3, opened.params);
  for (std::size_t i = 0; i < opened.params.size(); ++i) {  // B too: it begins as zeros
    opened.params[i] += 0.01F * static_cast<float>(i % 7);
  }
  Outcome outcome;
  outcome.gradients.resize(opened.params.size());
  outcome.loss = test::loss_of(opened.transformer(), pass);
  outcome.trained_loss = test::loss_and_gradient(opened.transformer(), pass, {}, 0.1F, outcome.gradients);
  Arena arena;
  KvCache cache = make_kv_cache(opened.spec, 8, arena);
  const std::vector<std::int32_t> prompt = {7, 400, 2};
  outcome.next = forward_next(opened.transformer(), prompt, cache);
  return outcome;
}

void expect_same_on_all_ranks(const std::filesystem::path& folder, std::int64_t vocab, std::int64_t chunk_elements,
                              int tokens = 40) {
  const test::TestBatch pass = pass_of(vocab, tokens);
  const auto single = make_single_rank();
  const Outcome whole = outcome_of(folder, *single, chunk_elements, pass);
  EXPECT_EQ(whole.loss, whole.trained_loss);
  for (const int ranks : {2, 3, 4, 7}) {
    test::on_ranks(ranks, [&](Communicator& comm) {
      EXPECT_TRUE(outcome_of(folder, comm, chunk_elements, pass) == whole) << ranks << " ranks";
      if (ranks == 2) {  // blocks divided, tables not
        EXPECT_TRUE(outcome_of(folder, comm, chunk_elements, pass, false) == whole);
      }
    });
  }
}

TEST(VocabTable, SameBitsOnEveryNumberOfRanks) {
  Scratch scratch;
  write_untied(scratch.path());
  expect_same_on_all_ranks(scratch.path(), 701, kSmallChunks);
  expect_same_on_all_ranks(scratch.path(), 701, 3 * kSmallChunks);
  expect_same_on_all_ranks(scratch.path(), 701, 0);               // one chunk
  expect_same_on_all_ranks(source("demo/model"), 512, 128 * 64);  // tied
}

/// With many ids, the logits of a few tokens fill the buffer: chunks of tokens and of the vocabulary.
TEST(VocabTable, SameBitsWithChunksOfTokensToo) {
  Scratch scratch;
  constexpr std::int64_t kVocab = 100'003;
  write_untied(scratch.path(), kVocab);
  expect_same_on_all_ranks(scratch.path(), kVocab, 0, 300);
}

/// Loss and a part of the next token's logits (of TP rank 0) on `data` x `tensor` ranks.
std::pair<double, std::vector<float>> on_mesh(const std::filesystem::path& folder, Communicator& world, int tensor,
                                              const MicroBatch& pass) {
  const ModelSpec spec = read_model_config(folder);
  const auto shards = world.split(world.rank() % tensor);
  const auto row = world.split(world.rank() / tensor);
  Arena arena;
  BaseStorage place{arena, Stream{}};
  place.chunk_elements = kSmallChunks;
  const FrozenBase base = load_frozen_base(spec, read_model_directory(folder), {Quantization::nf4, true},
                                           {*shards, world, world, tp_shard(spec, world.rank() % tensor, tensor)}, place);
  WeightWindow window(base, *shards, arena, Stream{}, DType::f32);
  const AdapterLayout layout = empty_layout(spec);
  const Workspace workspace = make_workspace(base, layout, {64, 64, true, Recompute::block, false}, arena, Stream{});
  const ForwardContext model{&base, &layout, &window, &workspace, {}, Stream{}, tensor > 1 ? row.get() : nullptr};
  const double loss = test::loss_and_gradient(model, pass, {}, 1.0F, {});
  KvCache cache = make_kv_cache(base.spec, 8, arena);
  const std::vector<std::int32_t> prompt = {7, 400, 2};
  return {loss, forward_next(model, prompt, cache)};
}

/// TP ranks have chunks of their shards; data ranks divide the chunks without changing bits.
TEST(VocabTable, TensorRanksHaveChunksToo) {
  Scratch scratch;
  write_untied(scratch.path());
  const test::TestBatch pass = pass_of(701, 40);
  const auto single = make_single_rank();
  const auto alone = on_mesh(scratch.path(), *single, 1, pass);
  std::pair<double, std::vector<float>> two;
  test::on_ranks(2, [&](Communicator& world) {
    const auto shared = on_mesh(scratch.path(), world, 2, pass);
    if (world.rank() == 0) {
      two = shared;
    }
  });
  EXPECT_NEAR(two.first, alone.first, 1e-6 * alone.first);
  ASSERT_EQ(two.second.size(), alone.second.size());
  for (std::size_t i = 0; i < two.second.size(); ++i) {
    EXPECT_NEAR(two.second[i], alone.second[i], 1e-5F);
  }
  test::on_ranks(4, [&](Communicator& world) { EXPECT_TRUE(on_mesh(scratch.path(), world, 2, pass) == two); });
}

/// Sums over chunks are taken in another order than over the whole: only the last bits may differ.
TEST(VocabTable, ChunksChangeNothingButTheLastBits) {
  Scratch scratch;
  write_untied(scratch.path());
  const test::TestBatch pass = pass_of(701, 40);
  const auto single = make_single_rank();
  const Outcome one = outcome_of(scratch.path(), *single, 0, pass);
  const Outcome five = outcome_of(scratch.path(), *single, kSmallChunks, pass);
  EXPECT_NEAR(one.loss, five.loss, 1e-6 * one.loss);
  double most = 0.0;
  double furthest = 0.0;
  for (std::size_t i = 0; i < one.gradients.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(one.gradients[i])));
    furthest = std::max(furthest, std::abs(static_cast<double>(one.gradients[i]) - static_cast<double>(five.gradients[i])));
  }
  EXPECT_GT(most, 0.0);
  EXPECT_LT(furthest, 1e-5 * most);
}

/// Ranks without tokens, or without targets, take part in every gather.
TEST(VocabTable, RanksWithoutWorkServe) {
  Scratch scratch;
  write_untied(scratch.path());
  const test::TestBatch pass = pass_of(701, 20);
  const std::vector<std::int32_t> ids = {1, 2, 3};
  test::TestBatch untrained;
  untrained.add(ids, {-100, -100, -100});
  const auto single = make_single_rank();
  const OpenedModel whole(scratch.path(), {Quantization::nf4}, *single, 64, Recompute::block, nullptr, kSmallChunks);
  const double expected = test::loss_of(whole.transformer(), pass);
  test::on_ranks(3, [&](Communicator& comm) {
    const OpenedModel opened(scratch.path(), {Quantization::nf4}, comm, 64, Recompute::block, nullptr, kSmallChunks);
    const MicroBatch mine = comm.rank() == 0 ? MicroBatch(pass) : comm.rank() == 1 ? MicroBatch(untrained) : MicroBatch{};
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(test::loss_of(opened.transformer(), mine), comm.rank() == 0 ? expected : 0.0);
      EXPECT_EQ(test::loss_and_gradient(opened.transformer(), mine, {}, 1.0F, {}), comm.rank() == 0 ? expected : 0.0);
    }
  });
}

/// Chunks and slices cover a table once, and all TP ranks have the same number of chunks.
TEST(VocabTable, ChunksCoverTheTable) {
  for (const std::int64_t widest : {1, 7, 128, 129, 257, 5000}) {
    for (const std::int64_t rows : {widest, widest - 1}) {
      VocabTable table = lay_out_table(rows, 24, DType::bf16, widest, 300 * 24);
      EXPECT_EQ(table.chunks, lay_out_table(widest, 24, DType::bf16, widest, 300 * 24).chunks);
      table.shards = 3;
      std::int64_t at = 0;
      for (std::int64_t i = 0; i < table.chunks; ++i) {
        const IndexRange chunk = table.chunk(i);
        EXPECT_EQ(chunk.begin, at);
        EXPECT_EQ(chunk.begin % 128, 0);
        EXPECT_TRUE(chunk.size() > 0 || rows == 0);
        at = chunk.end;
        std::int64_t held = 0;
        for (int shard = 0; shard < 3; ++shard) {
          const IndexRange slice = table.slice_elements(i, shard);
          EXPECT_LE(slice.size() * 2, table.slice_bytes(i));
          held += slice.size();
        }
        EXPECT_EQ(held, chunk.size() * 24);
      }
      EXPECT_EQ(at, rows);
    }
  }
}

/// A rank holds its slices of both tables, and windows of one chunk.
TEST(VocabTable, EachRankHoldsItsShare) {
  Scratch scratch;
  write_untied(scratch.path());
  test::on_ranks(4, [&](Communicator& comm) {
    const OpenedModel opened(scratch.path(), {Quantization::nf4}, comm, 8, Recompute::block, nullptr, kSmallChunks);
    std::int64_t held = 0;
    for (const MemoryItem& item : opened.arena.items()) {
      if (item.name == "model.embed_tokens.weight" || item.name == "lm_head.weight") {
        held += item.bytes;
      }
    }
    EXPECT_LE(held, 2 * (701 * 48 * 4 / 4 + 5 * 64));
    EXPECT_GE(held, 2 * (701 * 48 * 4 / 4));
  });
}

}  // namespace
}  // namespace lora_dist::vocab_table_test
