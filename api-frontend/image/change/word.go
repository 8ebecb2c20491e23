package change

import "strings"

// pairs reads the two forms "KEY VALUE" and "KEY=VALUE KEY=VALUE ...".
func (s *state) pairs(name, rest string) ([][2]string, error) {
	first, value, _ := cutSpace(rest)
	if !strings.Contains(first, "=") {
		if value == "" {
			return nil, invalid("%s must have two arguments", name)
		}
		v, err := s.word(value)
		return [][2]string{{first, v}}, err
	}
	words, err := s.words(rest)
	if err != nil {
		return nil, err
	}
	out := make([][2]string, 0, len(words))
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, invalid("Syntax error - can't find = in %q. Must be of the form: name=value", w)
		}
		if key == "" {
			return nil, invalid("%s names can not be blank", name)
		}
		out = append(out, [2]string{key, value})
	}
	return out, nil
}

// words splits at spaces outside quotes.
func (s *state) words(text string) ([]string, error) {
	l := &lexer{s: s, in: text}
	var out []string
	for {
		l.in = strings.TrimLeft(l.in, " \t")
		if l.in == "" {
			return out, nil
		}
		w, err := l.word(true)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
}

// word takes quotes away and variables in, and keeps spaces.
func (s *state) word(text string) (string, error) {
	l := &lexer{s: s, in: text}
	return l.word(false)
}

// lexer reads words as a Dockerfile has them.
type lexer struct {
	s  *state
	in string
}

func (l *lexer) next() byte {
	c := l.in[0]
	l.in = l.in[1:]
	return c
}

// word reads to the end, or to a space outside quotes.
func (l *lexer) word(split bool) (string, error) {
	var b strings.Builder
	for l.in != "" {
		switch c := l.next(); {
		case split && (c == ' ' || c == '\t'):
			return b.String(), nil
		case c == '\'':
			text, rest, ok := strings.Cut(l.in, "'")
			if !ok {
				return "", invalid("unexpected end of statement while looking for matching single-quote")
			}
			b.WriteString(text)
			l.in = rest
		case c == '"':
			if err := l.quoted(&b); err != nil {
				return "", err
			}
		case c == '\\' && l.in != "":
			b.WriteByte(l.next())
		case c == '$':
			if err := l.variable(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func (l *lexer) quoted(b *strings.Builder) error {
	for l.in != "" {
		switch c := l.next(); {
		case c == '"':
			return nil
		case c == '\\' && l.in != "" && strings.IndexByte(`"$\`, l.in[0]) >= 0:
			b.WriteByte(l.next())
		case c == '$':
			if err := l.variable(b); err != nil {
				return err
			}
		default:
			b.WriteByte(c)
		}
	}
	return invalid("unexpected end of statement while looking for matching double-quote")
}

// variable reads what follows a dollar sign.
func (l *lexer) variable(b *strings.Builder) error {
	if strings.HasPrefix(l.in, "{") {
		body, rest, ok := strings.Cut(l.in[1:], "}")
		if !ok {
			return invalid("syntax error: missing right curly bracket")
		}
		l.in = rest
		n := nameLength(body)
		value, set := l.s.variable(body[:n])
		switch operator := body[n:]; {
		case n == 0:
			return invalid("syntax error: bad substitution")
		case operator == "":
		case strings.HasPrefix(operator, ":-"):
			if value == "" {
				value = operator[2:]
			}
		case strings.HasPrefix(operator, ":+"):
			if value != "" {
				value = operator[2:]
			}
		case operator[0] == '-' && !set, operator[0] == '+' && set:
			value = operator[1:]
		case operator[0] == '-', operator[0] == '+':
		default:
			return invalid("unsupported modifier (%s) in substitution", operator[:1])
		}
		b.WriteString(value)
		return nil
	}
	n := nameLength(l.in)
	if n == 0 {
		b.WriteByte('$')
		return nil
	}
	value, _ := l.s.variable(l.in[:n])
	b.WriteString(value)
	l.in = l.in[n:]
	return nil
}

func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

func (s *state) variable(name string) (value string, set bool) {
	for _, e := range s.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v, true
		}
	}
	return "", false
}
