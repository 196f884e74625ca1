//! Source text to tokens with their types: what a replacement by type needs, no more.

use std::fmt;
use std::str::FromStr;

/// A programming language with a lexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Language {
    /// Python 2 and 3.
    Python,
    /// Java.
    Java,
}

impl Language {
    /// All.
    pub const ALL: [Self; 2] = [Self::Python, Self::Java];
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Python => "python",
            Self::Java => "java",
        })
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|language| language.to_string() == name.to_ascii_lowercase());
        found.ok_or_else(|| format!("language {name:?}: allowed are python and java"))
    }
}

/// What a token is in its language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TokenType {
    /// A name.
    Identifier,
    /// A reserved word.
    Keyword,
    /// `+`, `==`, `->` and their like.
    Operator,
    /// Brackets, commas, points, colons, semicolons.
    Separator,
    /// A string or a character.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// `None`, `null`.
    Null,
    /// A comment, or a string that stands as a statement of its own (a docstring).
    Comment,
    /// `@Override` in Java.
    Annotation,
    /// A character that the language does not know.
    Other,
}

impl TokenType {
    /// All, by their numbers.
    pub const ALL: [Self; 11] = [
        Self::Identifier,
        Self::Keyword,
        Self::Operator,
        Self::Separator,
        Self::String,
        Self::Number,
        Self::Boolean,
        Self::Null,
        Self::Comment,
        Self::Annotation,
        Self::Other,
    ];

    /// Its number.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Its name, as in a type token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Keyword => "keyword",
            Self::Operator => "operator",
            Self::Separator => "separator",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
            Self::Comment => "comment",
            Self::Annotation => "annotation",
            Self::Other => "other",
        }
    }
}

/// A piece of source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexeme<'a> {
    /// What it is.
    pub kind: TokenType,
    /// The text.
    pub text: &'a str,
}

const PYTHON_KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "exec", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass",
    "print", "raise", "return", "try", "while", "with", "yield",
];

const JAVA_KEYWORDS: &[&str] = &[
    "abstract",
    "assert",
    "boolean",
    "break",
    "byte",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extends",
    "final",
    "finally",
    "float",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "int",
    "interface",
    "long",
    "native",
    "new",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "short",
    "static",
    "strictfp",
    "super",
    "switch",
    "synchronized",
    "this",
    "throw",
    "throws",
    "transient",
    "try",
    "var",
    "void",
    "volatile",
    "while",
];

/// Longer ones first.
const PYTHON_OPERATORS: &[&str] = &[
    "**=", "//=", ">>=", "<<=", "...", "->", ":=", "==", "!=", "<>", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "@=",
    "&=", "|=", "^=", "**", "//", "<<", ">>", "+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "=",
];

const JAVA_OPERATORS: &[&str] = &[
    ">>>=", "<<=", ">>=", ">>>", "...", "->", "::", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "<<", ">>", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "=", "!", "?",
];

/// The tokens of a text, in their order, without blanks. Every text has tokens: what is not closed (a string, a comment, a bracket) ends
/// with its line or with the text, and characters that the language does not know are [`TokenType::Other`].
///
/// ```
/// use contrastive_text::data::code::{Language, TokenType, lex};
///
/// let tokens = lex(Language::Python, "def f(x):\n    \"\"\"Twice.\"\"\"\n    return 2 * x  # fast");
/// let of = |kind| tokens.iter().filter(|t| t.kind == kind).map(|t| t.text).collect::<Vec<_>>();
/// assert_eq!(of(TokenType::Keyword), ["def", "return"]);
/// assert_eq!(of(TokenType::Identifier), ["f", "x", "x"]);
/// assert_eq!(of(TokenType::Comment), ["\"\"\"Twice.\"\"\"", "# fast"]);
/// ```
pub fn lex(language: Language, text: &str) -> Vec<Lexeme<'_>> {
    let mut lexer = Lexer { language, text, at: 0, tokens: Vec::new(), depth: 0, line_start: true };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    language: Language,
    text: &'a str,
    at: usize,
    tokens: Vec<Lexeme<'a>>,
    /// Open brackets.
    depth: usize,
    /// Is there no token yet in this line?
    line_start: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: TokenType, length: usize) {
        let text = &self.rest()[..length];
        self.tokens.push(Lexeme { kind, text });
        self.at += length;
        self.line_start = false;
    }

    /// The length of the start of the rest whose characters fit.
    fn run(&self, fits: impl Fn(char) -> bool) -> usize {
        self.rest().find(|c: char| !fits(c)).unwrap_or(self.rest().len())
    }

    /// Takes one token or a run of blanks; is there more?
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        if first.is_whitespace() {
            let blank = self.run(char::is_whitespace);
            self.line_start |= rest[..blank].contains(['\n', '\r']) && self.depth == 0;
            self.at += blank;
        } else if let Some(length) = self.comment() {
            self.push(TokenType::Comment, length);
        } else if let Some(length) = self.string() {
            let kind = if self.is_statement(length) { TokenType::Comment } else { TokenType::String };
            self.push(kind, length);
        } else if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            self.push(TokenType::Number, self.number());
        } else if first == '_' || first.is_alphabetic() || (first == '$' && self.language == Language::Java) {
            let java = self.language == Language::Java;
            let length = self.run(|c| c == '_' || c.is_alphanumeric() || (java && c == '$'));
            self.push(self.word(&rest[..length]), length);
        } else if first == '@' && self.language == Language::Java {
            let name = rest[1..].find(|c: char| c != '_' && c != '.' && !c.is_alphanumeric()).unwrap_or(rest.len() - 1);
            self.push(TokenType::Annotation, 1 + name);
        } else if let Some(operator) = self.operator() {
            self.push(TokenType::Operator, operator);
        } else if "()[]{},:;.".contains(first) {
            match first {
                '(' | '[' | '{' => self.depth += 1,
                ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                _ => (),
            }
            self.push(TokenType::Separator, 1);
        } else if first == '\\' && self.language == Language::Python {
            // the next line belongs to this one
            self.at += 1 + rest[1..].find(|c| c != '\r' && c != '\n').unwrap_or(rest.len() - 1);
        } else {
            self.push(TokenType::Other, first.len_utf8());
        }
        true
    }

    fn line_length(&self) -> usize {
        self.run(|c| c != '\n' && c != '\r')
    }

    fn comment(&self) -> Option<usize> {
        let rest = self.rest();
        match self.language {
            Language::Python => rest.starts_with('#').then(|| self.line_length()),
            Language::Java if rest.starts_with("//") => Some(self.line_length()),
            Language::Java if rest.starts_with("/*") => Some(rest[2..].find("*/").map_or(rest.len(), |end| end + 4)),
            Language::Java => None,
        }
    }

    /// The length of the string that begins here.
    fn string(&self) -> Option<usize> {
        let rest = self.rest();
        let prefix = match self.language {
            Language::Python => rest.find(|c: char| !"rRbBuUfF".contains(c)).filter(|length| *length <= 2)?,
            Language::Java => 0,
        };
        let body = &rest[prefix..];
        let quote = body.chars().next().filter(|c| *c == '"' || *c == '\'')?;
        let triple = match quote {
            '"' => "\"\"\"",
            _ => "'''",
        };
        let long = body.starts_with(triple) && (quote == '"' || self.language == Language::Python);
        let (open, close) = if long { (3, triple) } else { (1, &triple[..1]) };
        let mut at = open;
        while at < body.len() {
            let here = &body[at..];
            let c = here.chars().next().expect("a character");
            if here.starts_with(close) {
                return Some(prefix + at + close.len());
            }
            if !long && (c == '\n' || c == '\r') {
                return Some(prefix + at);
            }
            at += c.len_utf8();
            if c == '\\' {
                at += body[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        Some(rest.len())
    }

    /// Does the string of this length stand alone in its line (a docstring)?
    fn is_statement(&self, length: usize) -> bool {
        let after = self.rest()[length..].trim_start_matches([' ', '\t']);
        let ends = after.is_empty() || after.starts_with(['\n', '\r', '#', ';']);
        self.language == Language::Python && self.depth == 0 && self.line_start && ends
    }

    fn number(&self) -> usize {
        let rest = self.rest().as_bytes();
        let hex = rest.len() > 1 && rest[0] == b'0' && matches!(rest[1], b'x' | b'X');
        let mut at = 0;
        while at < rest.len() {
            let exponent = !hex && at > 0 && matches!(rest[at - 1], b'e' | b'E') && matches!(rest[at], b'+' | b'-');
            if !(rest[at].is_ascii_alphanumeric() || rest[at] == b'_' || rest[at] == b'.' || exponent) {
                break;
            }
            at += 1;
        }
        at
    }

    fn word(&self, word: &str) -> TokenType {
        let keywords = match self.language {
            Language::Python => PYTHON_KEYWORDS,
            Language::Java => JAVA_KEYWORDS,
        };
        match (self.language, word) {
            (Language::Python, "True" | "False") | (Language::Java, "true" | "false") => TokenType::Boolean,
            (Language::Python, "None") | (Language::Java, "null") => TokenType::Null,
            _ if keywords.contains(&word) => TokenType::Keyword,
            _ => TokenType::Identifier,
        }
    }

    fn operator(&self) -> Option<usize> {
        let operators = match self.language {
            Language::Python => PYTHON_OPERATORS,
            Language::Java => JAVA_OPERATORS,
        };
        operators.iter().find(|operator| self.rest().starts_with(**operator)).map(|operator| operator.len())
    }
}
