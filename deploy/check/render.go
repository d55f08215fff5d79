// Renders the chart as Helm does, with the functions that it uses and no other: helm itself is not in Debian.
//
//	go run deploy/check/render.go CHART RELEASE < values.json
//
// Values and the chart's own description come as JSON, `{"chart": ..., "values": ...}`, because the standard library reads
// no YAML; toYaml writes JSON, which is YAML. Output: one JSON object, from the names of templates to what they rendered.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"text/template"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: render CHART RELEASE < values.json")
	}
	var input struct {
		Chart  map[string]any
		Values any
	}
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&input); err != nil {
		return err
	}
	title := map[string]any{}
	for key, value := range input.Chart {
		title[strings.ToUpper(key[:1])+key[1:]] = value
	}
	data := map[string]any{
		"Chart":   title,
		"Release": map[string]any{"Name": os.Args[2], "Namespace": "default", "Service": "Helm"},
		"Values":  numbers(input.Values),
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "templates", "*"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no templates in %s", os.Args[1])
	}
	// What is not there is an error, where Helm would print nothing: a misspelled value is found.
	all := template.New("").Option("missingkey=error")
	all.Funcs(functions(all))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := all.New(filepath.Base(file)).Parse(string(text)); err != nil {
			return err
		}
	}
	rendered := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, name, data); err != nil {
			return err
		}
		rendered[name] = out.String()
	}
	return json.NewEncoder(os.Stdout).Encode(rendered)
}

func functions(all *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := all.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"required": func(message string, value any) (any, error) {
			if empty(value) {
				return nil, fmt.Errorf("%s", message)
			}
			return value, nil
		},
		"default": func(fallback, value any) any {
			if empty(value) {
				return fallback
			}
			return value
		},
		"dict": func(pairs ...any) (map[string]any, error) {
			made := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				key, ok := pairs[i].(string)
				if !ok {
					return nil, fmt.Errorf("dict: %v is no key", pairs[i])
				}
				made[key] = pairs[i+1]
			}
			return made, nil
		},
		"add": func(values ...any) (int64, error) {
			var sum int64
			for _, value := range values {
				number, err := integer(value)
				if err != nil {
					return 0, err
				}
				sum += number
			}
			return sum, nil
		},
		"int":        integer,
		"nindent":    func(spaces int, text string) string { return "\n" + indent(spaces, text) },
		"quote":      func(value any) string { return strconv.Quote(fmt.Sprint(value)) },
		"sha256sum":  func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) },
		"trimSuffix": func(suffix, text string) string { return strings.TrimSuffix(text, suffix) },
		"trunc":      func(length int, text string) string { return text[:min(length, len(text))] },
		"toYaml":     toYaml,
	}
}

// Keys on lines of their own, so that they fit beside others; what is below them in one line.
func toYaml(value any) (string, error) {
	object, ok := value.(map[string]any)
	if !ok {
		text, err := json.Marshal(value)
		return string(text), err
	}
	var lines []string
	for key, below := range object {
		text, err := json.Marshal(below)
		if err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintf("%s: %s", strconv.Quote(key), text))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), nil
}

func indent(spaces int, text string) string {
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
}

func empty(value any) bool {
	truth, ok := template.IsTrue(value)
	return !ok || !truth
}

func integer(value any) (int64, error) {
	number := reflect.ValueOf(value)
	switch {
	case value != nil && number.CanInt():
		return number.Int(), nil
	case value != nil && number.CanFloat():
		return int64(number.Float()), nil
	}
	return 0, fmt.Errorf("%v is no number", value)
}

// Whole numbers stay whole: the standard reader makes them floats.
func numbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		float, _ := value.Float64()
		return float
	case map[string]any:
		for key := range value {
			value[key] = numbers(value[key])
		}
	case []any:
		for i := range value {
			value[i] = numbers(value[i])
		}
	}
	return value
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
