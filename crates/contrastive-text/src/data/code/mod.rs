//! Code and what describes it: files of pairs, lexers, tokens with types.

mod generate;
mod lexer;
mod read;
mod tokens;

pub use generate::generated_functions;
pub use lexer::{Language, Lexeme, TokenType, lex};
pub use read::{CodePair, CodePairs, CosqaFolder, WebQueries, read_code_search_net, read_concode};
pub use tokens::{CodeTokenizer, CodeTokens, SPECIAL_TOKENS, UnknownTypeError, code_words, query_words, sub_words};
