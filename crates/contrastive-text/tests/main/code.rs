//! Lexers, tokens with types, files of code, BM25.

use crate::golden::shared;
use contrastive_data::FileError;
use contrastive_text::bm25::Bm25;
use contrastive_text::data::Vocabulary;
use contrastive_text::data::code::*;
use contrastive_text::data::{TokenStream, read_words};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::path::PathBuf;

fn kinds(language: Language, text: &str) -> Vec<(TokenType, String)> {
    lex(language, text).into_iter().map(|token| (token.kind, token.text.to_string())).collect()
}

fn check(language: Language, text: &str, want: &[(TokenType, &str)]) {
    let want: Vec<(TokenType, String)> = want.iter().map(|(kind, text)| (*kind, text.to_string())).collect();
    assert_eq!(kinds(language, text), want, "{text}");
}

#[test]
fn python_tokens_have_types() {
    use TokenType::*;
    let text = "@wraps(f)\nasync def f2(x_1, *, y=None):\n    r'''A \\''' docstring'''\n    s = f\"{x_1}\" + b'\\'' # end\n    return 0x1F ** 1.5e-3 if not True else s[1:-1]";
    check(
        Language::Python,
        text,
        &[
            (Operator, "@"),
            (Identifier, "wraps"),
            (Separator, "("),
            (Identifier, "f"),
            (Separator, ")"),
            (Keyword, "async"),
            (Keyword, "def"),
            (Identifier, "f2"),
            (Separator, "("),
            (Identifier, "x_1"),
            (Separator, ","),
            (Operator, "*"),
            (Separator, ","),
            (Identifier, "y"),
            (Operator, "="),
            (Null, "None"),
            (Separator, ")"),
            (Separator, ":"),
            (Comment, "r'''A \\''' docstring'''"),
            (Identifier, "s"),
            (Operator, "="),
            (String, "f\"{x_1}\""),
            (Operator, "+"),
            (String, "b'\\''"),
            (Comment, "# end"),
            (Keyword, "return"),
            (Number, "0x1F"),
            (Operator, "**"),
            (Number, "1.5e-3"),
            (Keyword, "if"),
            (Keyword, "not"),
            (Boolean, "True"),
            (Keyword, "else"),
            (Identifier, "s"),
            (Separator, "["),
            (Number, "1"),
            (Separator, ":"),
            (Operator, "-"),
            (Number, "1"),
            (Separator, "]"),
        ],
    );
    // a string within brackets, or with something beside it, is no docstring; a line may go on
    check(
        Language::Python,
        "f(\n'a'\n)\nx = \\\n'b'\n'c'",
        &[
            (Identifier, "f"),
            (Separator, "("),
            (String, "'a'"),
            (Separator, ")"),
            (Identifier, "x"),
            (Operator, "="),
            (String, "'b'"),
            (Comment, "'c'"),
        ],
    );
    // what is not closed ends with its line, or the text
    check(
        Language::Python,
        "a = 'b\nc = \"\"\"d\ne",
        &[
            (Identifier, "a"),
            (Operator, "="),
            (String, "'b"),
            (Identifier, "c"),
            (Operator, "="),
            (String, "\"\"\"d\ne"),
        ],
    );
    check(
        Language::Python,
        "größe ? \u{1F600}$",
        &[(Identifier, "größe"), (Other, "?"), (Other, "\u{1F600}"), (Other, "$")],
    );
    check(Language::Python, " \n\t", &[]);
}

#[test]
fn java_tokens_have_types() {
    use TokenType::*;
    let text = "@Override /* no */ public int $f(List<String> a) { // yes\n return a != null && true ? 'x' : \"a\\\"b\".length() >>> 2L; }";
    check(
        Language::Java,
        text,
        &[
            (Annotation, "@Override"),
            (Comment, "/* no */"),
            (Keyword, "public"),
            (Keyword, "int"),
            (Identifier, "$f"),
            (Separator, "("),
            (Identifier, "List"),
            (Operator, "<"),
            (Identifier, "String"),
            (Operator, ">"),
            (Identifier, "a"),
            (Separator, ")"),
            (Separator, "{"),
            (Comment, "// yes"),
            (Keyword, "return"),
            (Identifier, "a"),
            (Operator, "!="),
            (Null, "null"),
            (Operator, "&&"),
            (Boolean, "true"),
            (Operator, "?"),
            (String, "'x'"),
            (Separator, ":"),
            (String, "\"a\\\"b\""),
            (Separator, "."),
            (Identifier, "length"),
            (Separator, "("),
            (Separator, ")"),
            (Operator, ">>>"),
            (Number, "2L"),
            (Separator, ";"),
            (Separator, "}"),
        ],
    );
    check(Language::Java, "/* open", &[(Comment, "/* open")]);
    check(Language::Java, "\"\"\"\na \"b\" c\n\"\"\"", &[(String, "\"\"\"\na \"b\" c\n\"\"\"")]);
}

/// Any text has tokens, which are its characters in order without blanks.
#[test]
fn every_text_can_be_lexed() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let pieces = [
        "'", "\"", "\"\"\"", "'''", "\\", "\n", "\r", " ", "#", "/*", "*/", "//", "@", "é", "x", "0x", "1e", "+", "(",
        "]", "$", ".", "r", "fB", "日",
    ];
    for _ in 0..3000 {
        let text: String = (0..rng.random_range(0..24)).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
        for language in Language::ALL {
            let tokens = lex(language, &text);
            let mut at = 0;
            for token in &tokens {
                let found = text[at..].find(token.text).expect("tokens in their order") + at;
                let between = &text[at..found];
                assert!(between.chars().all(|c| c.is_whitespace() || c == '\\'), "{text:?}: {between:?} is left out");
                at = found + token.text.len();
            }
            assert!(text[at..].chars().all(|c| c.is_whitespace() || c == '\\'), "{text:?}");
        }
    }
}

#[test]
fn names_have_parts() {
    for (text, want) in [
        ("getHTTPServer2", &["get", "http", "server", "2"][..]),
        ("snake_case_ÄB", &["snake", "case", "äb"]),
        ("__init__", &["init"]),
        ("", &[]),
        ("Don't stop: 3.5", &["don", "t", "stop", "3", "5"]),
    ] {
        assert_eq!(sub_words(text), want);
    }
    let words = code_words(Language::Python, "def readFile(path): # read\n    return open(path, 'rb')");
    let of = |kind| words.iter().filter(|word| word.1 == kind).map(|word| word.0.as_str()).collect::<Vec<_>>();
    assert_eq!(of(TokenType::Identifier), ["read", "file", "path", "open", "path"]);
    assert_eq!(of(TokenType::String), ["rb"]);
    assert!(of(TokenType::Comment).is_empty() && of(TokenType::Separator).is_empty());
}

fn pair(code: &str, query: &str) -> CodePair {
    CodePair { code: code.into(), query: query.into(), language: Language::Python, number: 0 }
}

#[test]
fn tokens_begin_with_special_ones_and_have_types() {
    let pairs = [pair("def read(path): return open(path)", "Read a file"), pair("def f(): pass", "nothing")];
    let tokenizer = CodeTokenizer::build(&pairs, 1, 100).unwrap();
    let word = |word: &str| tokenizer.vocabulary().get(word).unwrap();
    let code = tokenizer.code(Language::Python, "def read(unheard): return 1");
    assert_eq!(code.ids(), [1, 2, 3, word("def"), word("read"), 0, word("return"), 0]);
    let types = code.types()[3..].iter().map(|kind| TokenType::ALL[*kind as usize]).collect::<Vec<_>>();
    use TokenType::*;
    assert_eq!(types, [Keyword, Identifier, Identifier, Keyword, Number]);
    assert_eq!(tokenizer.query(" ... ").ids(), [1, 2, 3]);
    assert_eq!(tokenizer.vocabulary().word(tokenizer.type_token(String)), "<string>");
    assert_eq!(tokenizer.vocabulary().word(tokenizer.mask()), "<mask>");
    let short = tokenizer.clone().with_lengths(5, 4).unwrap();
    assert_eq!((short.code(Language::Python, "a b c d").ids().len(), short.query("a b c").ids().len()), (5, 4));
    assert!(tokenizer.with_lengths(3, 9).unwrap_err().to_string().contains("max_code is 3"));
    let error = CodeTokens::new(vec![1, 2], vec![0, 11], 0).unwrap_err();
    assert_eq!(error.to_string(), "token 1 has the type 11; allowed are 0 to 10");
}

#[test]
fn vocabularies_hold_frequent_words() {
    let words = ["b", "a", "c", "a", "b", "<x>", "d", "a"];
    let vocabulary = Vocabulary::build(&["<unk>", "<x>"], words, 1, 3).unwrap();
    assert_eq!(vocabulary.text(&[0, 1, 2, 3, 4]), "<unk> <x> a b c");
    assert_eq!((vocabulary.id("d"), vocabulary.id("<x>"), vocabulary.len(), vocabulary.special()), (0, 1, 5, 2));
    assert_eq!(Vocabulary::build(&["<unk>"], words, 2, 9).unwrap().len(), 3);
    assert!(Vocabulary::build(&[], words, 1, 9).unwrap_err().to_string().contains("special words is 0"));
    assert!(Vocabulary::build(&["u", "u"], words, 1, 9).unwrap_err().to_string().contains("special word is u"));
    assert!(Vocabulary::build(&["u"], words, 0, 9).unwrap_err().to_string().contains("least is 0"));
}

/// A file of this content, in a folder that lives as long as the test.
fn file(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn message<T: std::fmt::Debug>(result: Result<T, FileError>, words: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(words) && error.len() < 500, "{error:?} instead of {words:?}");
}

#[test]
fn pairs_are_read_line_by_line() {
    let lines = "{\"code\": \"def f(): pass\", \"docstring\": \"Does.\\n\\nMore.\", \"language\": \"Python\", \"idx\": 7}\r\n\n\
                 {\"original_string\": \"int g ( ) { }\", \"summary\": \"Gives\", \"docstring\": \"x\", \"language\": \"java\"}";
    let (_folder, path) = file("pairs.jsonl", lines);
    let read = read_code_search_net(&path).unwrap();
    assert_eq!((read.name.as_str(), read.pairs.len()), ("pairs.jsonl", 2));
    assert_eq!((read.pairs[0].query.as_str(), read.pairs[0].number), ("Does.", 7));
    assert_eq!(
        (read.pairs[1].query.as_str(), read.pairs[1].language, read.pairs[1].number),
        ("Gives", Language::Java, 1)
    );
    let (_folder, path) = file("dev.json", "{\"code\": \"int f ( ) ;\", \"nl\": \"gives it concode_field_sep int a\"}");
    assert_eq!(read_concode(&path).unwrap().pairs[0].query, "gives it");
    let pairs = CodePairs {
        name: "x".into(),
        pairs: vec![pair("a  b", "q"), pair("a b", "r"), pair("c", " q "), pair("d", "s")],
    };
    let (left, dropped) = pairs.without_duplicates();
    assert_eq!((left.pairs.len(), dropped), (2, 2));
}

#[test]
fn files_that_hold_no_pairs_are_refused() {
    let bad = |content: &[u8], words: &str| {
        let (_folder, path) = file("pairs.jsonl", content);
        message(read_code_search_net(&path), words);
    };
    let good = "{\"code\": \"x\", \"docstring\": \"y\", \"language\": \"java\"}\n";
    bad(b"", "empty");
    bad(b"\n \n", "empty");
    bad(format!("{good}nothing").as_bytes(), "pairs.jsonl:2: not JSON");
    bad(format!("{good}\n[1]").as_bytes(), "pairs.jsonl:3: JSON, but not an object");
    bad(b"{\"docstring\": \"y\", \"language\": \"java\"}", "pairs.jsonl:1: no \"code\"; there are docstring, language");
    bad(b"{\"code\": \"x\", \"language\": \"java\"}", "no \"summary\"");
    bad(b"{\"code\": \" \", \"docstring\": \"y\", \"language\": \"java\"}", "\"code\" is blank");
    bad(b"{\"code\": 3, \"docstring\": \"y\", \"language\": \"java\"}", "\"code\" is 3");
    bad(b"{\"code\": \"x\", \"docstring\": \"y\"}", "no \"language\"; allowed: python or java");
    bad(b"{\"code\": \"x\", \"docstring\": \"y\", \"language\": \"cobol\"}", "language \"cobol\"");
    bad(b"{\"code\": \"\xff\", \"docstring\": \"y\", \"language\": \"java\"}", "pairs.jsonl:1: not JSON");
    bad(b"{\"code\": \"a\0b\"}", "NUL");
    let (_folder, path) = file("dev.json", "{\"code\": \"x\", \"nl\": \" concode_field_sep int a\"}");
    message(read_concode(&path), "dev.json:1: nothing before concode_field_sep");
    message(read_concode(&path.with_file_name("absent")), "no such file");
}

#[test]
fn queries_without_their_code_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    let parts = ["cosqa-retrieval-dev-500.json", "cosqa-retrieval-test-500.json"];
    let good = "[{\"doc\": \"how\", \"code\": \"b\", \"retrieval_idx\": 1}]";
    let refused = |words: &str| message(CosqaFolder::read(folder.path()), words);
    refused("code_idx_map.txt");
    write("code_idx_map.txt", "{\"a\": 0, \"b\": 1}");
    refused("dev-500.json");
    parts.iter().for_each(|part| write(part, good));
    let read = CosqaFolder::read(folder.path()).unwrap();
    assert_eq!((read.codebase, read.test.codes), (vec!["a".to_string(), "b".into()], vec![1]));
    for (content, words) in [
        ("[{\"doc\": \"how\", \"retrieval_idx\": 2}]", "entry 0: \"retrieval_idx\": 2; allowed: a code: 0 to 1"),
        ("[{\"doc\": \"how\"}]", "\"retrieval_idx\": no code"),
        ("[{\"doc\": \"\", \"retrieval_idx\": 1}]", "\"doc\" is blank"),
        ("[{\"doc\": \"how\", \"code\": \"a\", \"retrieval_idx\": 1}]", "the code is number 0 of the codebase"),
        ("[3]", "entry 0: not an object"),
        ("[]", "empty"),
        ("{}", "not a list"),
    ] {
        write(parts[1], content);
        refused(words);
    }
    write(parts[1], good);
    for (content, words) in [
        ("{\"a\": 0, \"b\": 0}", "b: 0; allowed: each number below 2 once"),
        ("{\"a\": 0, \"b\": 2}", "b: 2"),
        ("[]", "not an object"),
        ("{\"a\"", "code_idx_map.txt:1: not JSON"),
    ] {
        write("code_idx_map.txt", content);
        refused(words);
    }
}

#[test]
fn running_text_is_words_with_an_end_in_each_line() {
    let (_folder, path) = file("text.txt", " = A = \r\n\n the  a");
    let words = read_words(&path).unwrap();
    assert_eq!(words, ["=", "A", "=", "<eos>", "<eos>", "the", "a", "<eos>"]);
    let (stream, vocabulary) = TokenStream::of_words("text", &words, &words[4..7], 1, 3).unwrap();
    assert_eq!(vocabulary.text(&stream.train), "= A = <eos> <eos> <unk> a <eos>");
    assert_eq!((stream.validation.len(), stream.vocabulary), (3, 5));
    assert_eq!(stream.prompts(1, 2), [stream.validation[..2].to_vec()]);
    let (_folder, path) = file("text.txt", "");
    message(read_words(&path), "empty");
    let (_folder, path) = file("text.txt", b"a\nb \xff");
    message(read_words(&path), "text.txt:2");
    // a line of 100,000 tokens
    let (_folder, path) = file("text.txt", "a ".repeat(100_000));
    assert_eq!(read_words(&path).unwrap().len(), 100_001);
}

/// Oracle: the counts that the descriptions of the data give.
#[test]
fn golden_data_of_code_and_text() {
    let Some(data) = shared().map(|shared| shared.join("data")) else { return };
    let pairs = read_code_search_net(&data.join("cosqa/open/code_docstring.jsonl")).unwrap();
    assert_eq!(pairs.pairs.len(), 6225);
    let (left, dropped) = pairs.clone().without_duplicates();
    assert!(left.pairs.len() + dropped == 6225 && (40..80).contains(&dropped), "{dropped} duplicates");
    let cosqa = CosqaFolder::read(&data.join("cosqa")).unwrap();
    assert_eq!((cosqa.codebase.len(), cosqa.dev.queries.len(), cosqa.test.queries.len()), (6267, 500, 500));
    let concode = read_concode(&data.join("concode/dev.json")).unwrap();
    assert_eq!(concode.pairs.len(), 2000);
    // real functions hold next to nothing that the lexers do not know
    for (language, codes) in [
        (Language::Python, pairs.pairs.iter().map(|pair| pair.code.as_str()).collect::<Vec<_>>()),
        (Language::Java, concode.pairs.iter().map(|pair| pair.code.as_str()).collect()),
    ] {
        let (mut other, mut all) = (0, 0);
        for token in codes.iter().flat_map(|code| lex(language, code)) {
            other += usize::from(token.kind == TokenType::Other);
            all += 1;
        }
        assert!(other * 2000 < all, "{other} of {all} {language} tokens are unknown");
    }
    // docstrings that were cut out of one file are comments in the other
    let mut equal = 0;
    for pair in &pairs.pairs {
        let words = |code: &str| code_words(Language::Python, code);
        equal += usize::from(words(&pair.code) == words(&cosqa.codebase[pair.number]));
    }
    assert!(equal * 100 > pairs.pairs.len() * 95, "{equal} of {}", pairs.pairs.len());
    for (name, tokens) in [("valid", 217_646), ("test", 245_569)] {
        assert_eq!(read_words(&data.join(format!("wikitext-2/{name}.txt"))).unwrap().len(), tokens);
    }
}

/// Oracle: the formula over all words and documents.
#[test]
fn bm25_is_its_formula() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut text = |most: usize| -> Vec<String> {
        (0..rng.random_range(0..most)).map(|_| format!("w{}", rng.random_range(0..9))).collect()
    };
    let documents: Vec<Vec<String>> = (0..12).map(|_| text(15)).collect();
    let (k1, b) = (1.4, 0.6);
    let bm25 = Bm25::new(&documents, k1, b).unwrap();
    let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / 12.0;
    for _ in 0..5 {
        let query = text(6);
        let mut scores = vec![0.0; 12];
        bm25.score(&query, &mut scores);
        for (document, score) in documents.iter().zip(&scores) {
            let part = |word: &String| {
                let with = documents.iter().filter(|document| document.contains(word)).count() as f64;
                let times = document.iter().filter(|other| *other == word).count() as f64;
                let rarity = (1.0 + (12.0 - with + 0.5) / (with + 0.5)).ln();
                rarity * times * (k1 + 1.0) / (times + k1 * (1.0 - b + b * document.len() as f64 / mean))
            };
            assert!((query.iter().map(part).sum::<f64>() - score).abs() < 1e-12);
        }
    }
    assert!(Bm25::new(&documents, -1.0, 0.5).unwrap_err().to_string().contains("k1 is -1"));
    assert!(Bm25::new(&documents, 1.0, 1.5).unwrap_err().to_string().contains("b is 1.5"));
    // without documents there is nothing to score
    Bm25::new(&Vec::<Vec<String>>::new(), 1.0, 0.5).unwrap().score(&["a"], &mut []);
}

/// Damaged files are read or refused, and every refusal is a message of a few lines.
#[test]
fn damaged_files_are_read_or_refused() {
    let pairs =
        "{\"code\": \"def f(): pass\", \"docstring\": \"Does.\", \"language\": \"python\", \"idx\": 7}\n".repeat(3);
    let concode = "{\"code\": \"int f ( ) ;\", \"nl\": \"gives it concode_field_sep int a\"}\n".repeat(3);
    let map = "{\"a\": 0, \"b\": 1}";
    let queries = "[{\"doc\": \"how\", \"code\": \"b\", \"retrieval_idx\": 1}]";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let names = ["code_idx_map.txt", "cosqa-retrieval-dev-500.json", "cosqa-retrieval-test-500.json"];
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut damaged = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len().max(1)).min(bytes.len());
            match rng.random_range(0..4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b"\"{}[]:,9-\\\n\0\xff"[rng.random_range(0..13)]),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
                _ => (),
            }
        }
        bytes
    };
    let (mut read, mut refused) = (0, 0);
    let mut seen = |error: Option<FileError>| match error {
        None => read += 1,
        Some(error) => {
            assert!(error.to_string().len() < 600, "{error}");
            refused += 1;
        }
    };
    for _ in 0..700 {
        std::fs::write(path("pairs.jsonl"), damaged(&pairs)).unwrap();
        seen(read_code_search_net(&path("pairs.jsonl")).err());
        std::fs::write(path("dev.json"), damaged(&concode)).unwrap();
        seen(read_concode(&path("dev.json")).err());
        [map, queries, queries]
            .iter()
            .zip(names)
            .for_each(|(text, name)| std::fs::write(path(name), damaged(text)).unwrap());
        seen(CosqaFolder::read(folder.path()).err());
        std::fs::write(path("words.txt"), damaged("a b\nc\n")).unwrap();
        seen(read_words(&path("words.txt")).err());
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
}
