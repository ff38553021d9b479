// Tokenizer::load and parse: from a tokenizer.json to a Tokenizer::State.

#include <algorithm>
#include <fstream>

#include "engine/tokenizer/components.h"
#include "engine/tokenizer/json_field.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/tokenizer_state.h"

namespace quire::engine {
namespace {

BpeOptions read_model_options(const JsonField& model, const StringIndex& vocab) {
  const auto must_be_empty = [&](const char* key) {
    if (!model[key].is_null() && !model[key].string().empty())
      model[key].unsupported("only null or an empty string is supported");
  };
  if (!model["type"].is_null() && model["type"].string() != "BPE")
    model["type"].unsupported("only BPE is supported");
  must_be_empty("continuing_subword_prefix");
  must_be_empty("end_of_word_suffix");
  if (!model["dropout"].is_null() && !model["dropout"].is_zero())
    model["dropout"].unsupported("only null or 0 is supported");
  BpeOptions options;
  options.fuse_unk = model["fuse_unk"].boolean_or(false);
  options.byte_fallback = model["byte_fallback"].boolean_or(false);
  options.ignore_merges = model["ignore_merges"].boolean_or(false);
  if (!model["unk_token"].is_null()) {
    options.unk = vocab.find(model["unk_token"].string());
    if (options.unk == kNoToken) model["unk_token"].reject("not in model.vocab");
  }
  return options;
}

MergeTable build_merges(const MergeList& list, const StringIndex& vocab, JsonErrors& errors) {
  MergeTable merges(list.size());
  std::string joined;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const MergeList::Pair pair = list[i];
    joined.assign(pair.left).append(pair.right);
    const TokenId left = vocab.find(pair.left);
    const TokenId right = vocab.find(pair.right);
    const TokenId merged = vocab.find(joined);
    if (pair.left.empty() || pair.right.empty() || left == kNoToken || right == kNoToken ||
        merged == kNoToken) {
      errors.add(ErrorCode::kInvalidRequest, "model.merges[" + std::to_string(i) + "]",
                 "a word or what the two make is not in model.vocab");
      break;
    }
    merges.add(left, right, merged);
  }
  return merges;
}

// Checks the added tokens against the vocabulary and each other, and indexes them.
StringIndex index_added_tokens(std::vector<AddedToken>& tokens, const StringIndex& vocab,
                               const JsonField& field) {
  StringIndex index;
  // An empty content can never be found; the package skips it too.
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = tokens[i];
    if (token.content.empty()) continue;
    const TokenId known = vocab.find(token.content);
    if (known != kNoToken && known != token.id)
      field[i]["id"].reject("model.vocab gives this content another id");
    if (!index.add(token.content, token.id)) field[i]["content"].reject("appears twice");
  }
  std::erase_if(tokens, [](const AddedToken& token) { return token.content.empty(); });
  return index;
}

// Words by id; an id without one is an empty view.
std::vector<std::string_view> words_by_id(const StringIndex& vocab,
                                          const std::vector<AddedToken>& added,
                                          const JsonField& field, std::vector<bool>& exists) {
  std::vector<std::string_view> words;
  const auto put = [&](TokenId id, std::string_view text) {
    const auto i = static_cast<std::size_t>(id);
    if (i >= words.size()) words.resize(i + 1);
    if (i >= exists.size()) exists.resize(i + 1);
    if (exists[i] && words[i] != text) field.reject("two tokens have the same id");
    words[i] = text;
    exists[i] = true;
  };
  for (std::size_t i = 0; i < vocab.size(); ++i) put(vocab.entry(i).id, vocab.entry(i).text);
  for (const AddedToken& token : added) put(token.id, token.content);
  return words;
}

void sort_added_tokens(const std::vector<AddedToken>& tokens, const Normalizer& normalizer,
                       AddedTokens& raw, AddedTokens& normalized) {
  for (const AddedToken& token : tokens) {
    if (!token.normalized) {
      raw.add(token, token.content);
      continue;
    }
    std::string storage;
    bool removed_start = false;
    const std::string_view pattern = normalizer.apply(token.content, storage, removed_start);
    if (!pattern.empty()) normalized.add(token, pattern);
  }
}

std::vector<bool> special_ids(const std::vector<AddedToken>& tokens, std::size_t vocab_size) {
  std::vector<bool> special(vocab_size);
  for (const AddedToken& token : tokens)
    if (token.special) special[static_cast<std::size_t>(token.id)] = true;
  return special;
}

void check_surround(const Surround& surround, const std::vector<bool>& exists,
                    const JsonField& field) {
  const auto is_missing = [&](TokenId id) {
    return static_cast<std::size_t>(id) >= exists.size() || !exists[static_cast<std::size_t>(id)];
  };
  if (std::any_of(surround.before.begin(), surround.before.end(), is_missing) ||
      std::any_of(surround.after.begin(), surround.after.end(), is_missing))
    field.reject("an id is not in the vocabulary");
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json, std::string_view name) {
  Result<TokenizerFile> read = read_tokenizer_json(json, name);
  if (!read) return read.error();
  TokenizerFile& file = *read;
  JsonErrors errors(name);
  const JsonField root(*file.rest, errors);

  std::vector<AddedToken> tokens = read_added_tokens(root["added_tokens"]);
  StringIndex added_index = index_added_tokens(tokens, file.vocab, root["added_tokens"]);
  std::vector<bool> exists;
  const std::vector<std::string_view> words =
      words_by_id(file.vocab, tokens, root["added_tokens"], exists);
  if (words.empty()) root["model"]["vocab"].reject("empty");
  TokenDecoder decoder(read_decoder(root["decoder"]));
  for (const std::string_view word : words)
    if (!decoder.add(word)) root["decoder"].reject("makes the tokens' texts too large");
  std::vector<bool> special = special_ids(tokens, words.size());
  const BpeOptions options = read_model_options(root["model"], file.vocab);
  MergeTable merges = build_merges(file.merges, file.vocab, errors);

  auto state = std::unique_ptr<State>(
      new State{.model = BpeModel(std::move(file.vocab), std::move(merges), options, special),
                .added_index = std::move(added_index),
                .raw_tokens = {},
                .normalized_tokens = {},
                .normalizer = read_normalizer(root["normalizer"]),
                .pre_tokenizer = read_pre_tokenizer(root["pre_tokenizer"]),
                .surround = read_post_processor(root["post_processor"]),
                .decoder = std::move(decoder),
                .exists = std::move(exists),
                .special = std::move(special)});
  check_surround(state->surround, state->exists, root["post_processor"]);
  if (errors.first()) return *errors.first();
  sort_added_tokens(tokens, state->normalizer, state->raw_tokens, state->normalized_tokens);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::filesystem::path& path) {
  const std::string name = path.string();
  const auto fail = [&](const char* what) {
    return Error{ErrorCode::kInvalidRequest, name + ": " + what, name};
  };
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return fail("not a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail("cannot be opened");
  const std::uintmax_t size = std::filesystem::file_size(path, ignored);
  if (ignored || size > kMaxTokenizerFileBytes) return fail("larger than 256 MiB");
  std::string text(static_cast<std::size_t>(size), '\0');
  if (!stream.read(text.data(), static_cast<std::streamsize>(size))) return fail("cannot be read");
  return parse(text, name);
}

}  // namespace quire::engine
