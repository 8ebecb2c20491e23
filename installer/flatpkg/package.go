package flatpkg

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"
)

// Spec says what a package installs.
type Spec struct {
	Identifier  string // "com.arca.engine".
	Version     string
	Title       string // what the Installer shows.
	Root        string // staging directory; it is installed over /.
	Scripts     string // directory with preinstall and postinstall; empty: none.
	Arch        string // of the host: arm64, x86_64.
	MinimumOS   string // "14.0".
	BuildTime   time.Time
	Component   string // file name of the component: "arca.pkg".
	installed   int64
	files       int
	scriptNames []string
}

// xmlText is a template whose values are escaped.
func xmlText(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"x": func(v any) (string, error) {
		var b bytes.Buffer
		err := xml.EscapeText(&b, []byte(fmt.Sprint(v)))
		return b.String(), err
	}}).Parse(text))
}

// The two descriptions of a product archive; see productbuild(1) and the "Distribution Definition" of Installer JS.
var (
	packageInfo = xmlText("PackageInfo", `<?xml version="1.0" encoding="utf-8"?>
<pkg-info overwrite-permissions="true" relocatable="false" identifier="{{x .Identifier}}" postinstall-action="none" version="{{x .Version}}" format-version="2" generator-version="arca" install-location="/" auth="root">
    <payload numberOfFiles="{{.Files}}" installKBytes="{{.Installed}}"/>
    <bundle-version/>
    <upgrade-bundle/>
    <update-bundle/>
    <atomic-update-bundle/>
    <strict-identifier/>
    <relocate/>{{if .ScriptNames}}
    <scripts>{{range .ScriptNames}}
        <{{x .}} file="./{{x .}}"/>{{end}}
    </scripts>{{end}}
</pkg-info>
`)
	distribution = xmlText("Distribution", `<?xml version="1.0" encoding="utf-8"?>
<installer-gui-script minSpecVersion="2">
    <title>{{x .Title}}</title>
    <options customize="never" require-scripts="false" hostArchitectures="{{x .Arch}}" rootVolumeOnly="true"/>
    <volume-check>
        <allowed-os-versions>
            <os-version min="{{x .MinimumOS}}"/>
        </allowed-os-versions>
    </volume-check>
    <domains enable_anywhere="false" enable_currentUserHome="false" enable_localSystem="true"/>
    <pkg-ref id="{{x .Identifier}}">
        <bundle-version/>
    </pkg-ref>
    <choices-outline>
        <line choice="default">
            <line choice="{{x .Identifier}}"/>
        </line>
    </choices-outline>
    <choice id="default"/>
    <choice id="{{x .Identifier}}" visible="false">
        <pkg-ref id="{{x .Identifier}}"/>
    </choice>
    <pkg-ref id="{{x .Identifier}}" version="{{x .Version}}" onConclusion="none" installKBytes="{{.Installed}}">#{{x .Component}}</pkg-ref>
</installer-gui-script>
`)
)

// Files is the number of entries; it and what follows is for the templates.
func (s *Spec) Files() int { return s.files }

// Installed is the size in kilobytes.
func (s *Spec) Installed() int64 { return s.installed }

// ScriptNames are the scripts that there are.
func (s *Spec) ScriptNames() []string { return s.scriptNames }

// Write writes the package.
func Write(w io.Writer, s Spec) error {
	payload, err := readTree(s.Root)
	if err != nil {
		return err
	}
	s.installed, s.files = kilobytes(payload), len(payload)
	in := s.Component + "/"
	packed, err := archive(payload, s.BuildTime)
	if err != nil {
		return err
	}
	members := []xarMember{{in + "Bom", makeBom(payload, s.BuildTime), true}, {in + "Payload", packed, false}}
	if s.Scripts != "" {
		scripts, err := readTree(s.Scripts)
		if err != nil {
			return err
		}
		for _, e := range scripts {
			if name := strings.TrimPrefix(e.path, "./"); name == "preinstall" || name == "postinstall" {
				if e.mode&0o111 == 0 {
					return fmt.Errorf("the script %s is not executable", name)
				}
				s.scriptNames = append(s.scriptNames, name)
			}
		}
		packed, err := archive(scripts, s.BuildTime)
		if err != nil {
			return err
		}
		members = append(members, xarMember{in + "Scripts", packed, false})
	}
	var info, dist bytes.Buffer
	if err := packageInfo.Execute(&info, &s); err != nil {
		return err
	}
	if err := distribution.Execute(&dist, &s); err != nil {
		return err
	}
	members = append([]xarMember{{"Distribution", dist.Bytes(), true}}, append(members, xarMember{in + "PackageInfo", info.Bytes(), true})...)
	b, err := makeXar(members, s.BuildTime)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
