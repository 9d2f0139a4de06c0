// The steps of tokenizing together: cache key, reading, tokenizing, writing, sending.
#include "src/job/tokenize_together.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/comm/agree.h"
#include "src/core/activity.h"
#include "src/core/elapsed.h"
#include "src/core/error_of.h"
#include "src/data/token_cache.h"
#include "src/report/progress.h"
#include "src/report/tokenizing_line.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// The state that the steps below share.
struct Job {
  const DataOptions& options;
  const Tokenizer* tokenizer;
  std::int64_t vocab_size;
  Communicator& world;
  const Console& console;
  std::string key{};  // empty: no cache
  fs::path file{};

  bool is_root() const { return world.rank() == 0; }
};

bool all_of_us(const Job& job, bool mine) {
  std::int64_t least = mine ? 1 : 0;
  job.world.all_reduce(std::span(&least, 1), Reduce::min, WireKind::control);
  return least == 1;
}

/// The root's bytes, on the ranks that want them. Sent in pieces, so that the other ranks need no memory for them.
Bytes send_from(const Job& job, int root, std::span<const std::byte> bytes, bool wanted) {
  constexpr std::size_t kPiece = std::size_t{1} << 24;
  auto size = static_cast<std::uint64_t>(bytes.size());
  job.world.broadcast(std::as_writable_bytes(std::span(&size, 1)), root, WireKind::control);
  Bytes out;
  run_together(job.world, [&] { out.reserve(wanted ? size : 0); });
  Bytes piece(std::min<std::uint64_t>(kPiece, size));
  for (std::uint64_t at = 0; at < size; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(piece.size(), size - at));
    if (job.world.rank() == root) {
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), piece.size(), piece.begin());
    }
    job.world.broadcast(piece, root, WireKind::control);
    if (wanted) {
      out.insert(out.end(), piece.begin(), piece.end());
    }
  }
  return out;
}

/// Rank 0 decides: its files count.
void find_key(Job& job, const fs::path& cache_folder) {
  std::optional<Error> problem;
  if (job.is_root()) {
    problem = error_of([&] {
      check_data_options(job.options);
      job.key = token_cache_key(job.options, job.tokenizer, job.vocab_size);
    });
  }
  throw_first(job.world, problem, 0);
  job.key = broadcast_string(job.world, job.key, 0);
  job.file = token_cache_file(cache_folder, job.key);
}

/// The tokens of the cached file, on every rank; empty if rank 0 has none.
std::optional<TokenStore> take_from_cache(const Job& job) {
  CachedTokens cached = open_token_cache(job.file, job.key);
  if (!cached.problem.empty()) {
    job.console.warn(cached.problem);
  }
  std::int64_t there = cached.store ? 1 : 0;
  job.world.broadcast(std::as_writable_bytes(std::span(&there, 1)), 0, WireKind::control);
  if (there == 0) {
    return std::nullopt;
  }
  if (!all_of_us(job, cached.store.has_value())) {
    const std::span<const std::byte> image = job.is_root() ? bytes_of(*cached.store) : std::span<const std::byte>();
    Bytes sent = send_from(job, 0, image, !cached.store);
    if (!cached.store) {
      cached.store = std::move(sent);
    }
  }
  return std::move(cached.store);
}

/// This rank's rows as an image. Throws the error of the first bad row of all ranks.
Bytes tokenize_share(const Job& job) {
  TokenizingLine line(job.console);
  RowShare share{job.world.rank(), job.world.size(), [&](const TokenizingFigures& figures) { line.show(figures); }};
  Bytes image;
  const std::optional<Error> problem = error_of([&] {
    const TokenizedRows rows = tokenize_rows(job.options, job.tokenizer, job.vocab_size, share);
    const TokenImage part = view_of(rows);
    image = make_token_image(std::span(&part, 1), job.world.size() == 1 ? job.key : "");
  });
  line.end();
  throw_first(job.world, problem, share.reached);
  return image;
}

/// The images of all ranks as one, on rank 0.
Bytes put_together(const Job& job, Bytes mine) {
  if (job.world.size() == 1) {
    return mine;
  }
  std::vector<Bytes> parts;
  for (int rank = 0; rank < job.world.size(); ++rank) {
    Bytes part = send_from(job, rank, mine, job.is_root());
    if (job.is_root()) {
      parts.push_back(std::move(part));
    }
  }
  mine = {};
  Bytes image;
  std::optional<Error> problem;
  if (job.is_root()) {
    problem = error_of([&] {
      std::vector<TokenImage> views;
      for (const Bytes& part : parts) {
        views.push_back(read_token_image(part));
      }
      image = make_token_image(views, job.key);
    });
  }
  throw_first(job.world, problem, 0);
  return image;
}

/// Called by rank 0. True if the file exists now.
bool keep(const Job& job, const Bytes& image) {
  std::int64_t kept = 0;
  if (job.is_root() && !job.key.empty()) {
    const std::optional<Error> problem = error_of([&] { write_token_cache(job.file, image); });
    kept = problem ? 0 : 1;
    if (problem) {
      job.console.warn(fmt::format("the tokens are not kept for the next run: {}", problem->what()));
    }
  }
  job.world.broadcast(std::as_writable_bytes(std::span(&kept, 1)), 0, WireKind::control);
  return kept == 1;
}

TokenStore tokenize_anew(const Job& job) {
  const auto start = Clock::now();
  Bytes image = put_together(job, tokenize_share(job));
  const bool kept = keep(job, image);
  const double seconds = seconds_since(start);
  job.console.line(fmt::format("tokens     made in {}{}", human_duration(seconds), kept ? ", kept in " + job.file.string() : ""));
  if (kept) {
    if (std::optional<TokenStore> store = take_from_cache(job)) {  // shared by the ranks of a machine
      return std::move(*store);
    }
  }
  Bytes sent = send_from(job, 0, image, !job.is_root());
  return job.is_root() ? std::move(image) : std::move(sent);
}

}  // namespace

Dataset tokenize_together(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size,
                          const fs::path& cache_folder, Communicator& world, const Console& console) {
  const AtWork here("reading and tokenizing data");
  Job job{options, tokenizer, vocab_size, world, console};
  std::optional<TokenStore> store;
  if (!cache_folder.empty()) {
    find_key(job, cache_folder);
    store = take_from_cache(job);
    if (store) {
      console.line(fmt::format("tokens     from cache {}", job.file.string()));
    }
  }
  if (!store) {
    store = tokenize_anew(job);
  }
  Dataset dataset;
  run_together(world, [&] { dataset = make_dataset(std::move(*store), options, tokenizer); });
  return dataset;
}

}  // namespace lora_dist
