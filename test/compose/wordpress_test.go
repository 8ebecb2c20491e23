//go:build integration

package compose

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const wordpressStack = `
services:
  db:
    image: mariadb
    environment:
      MARIADB_DATABASE: wordpress
      MARIADB_USER: wordpress
      MARIADB_PASSWORD: between-us
      MARIADB_ROOT_PASSWORD: mine-alone
    volumes: [db:/var/lib/mysql]
    healthcheck:
      test: ["CMD", "mariadb", "-uwordpress", "-pbetween-us", "-h127.0.0.1", "-eselect 1", "wordpress"]
      interval: 1s
      retries: 120
  wordpress:
    image: wordpress
    ports: ["127.0.0.1::80"]
    depends_on:
      db:
        condition: service_healthy
    environment:
      WORDPRESS_DB_PASSWORD_FILE: /run/secrets/password
    secrets: [password]
secrets:
  password:
    file: ./password
volumes:
  db:
`

// TestWordPress: WordPress is installed over a published port, a page is written and read back, also by a second
// incarnation of the stack on the same volume.
func TestWordPress(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, wordpressStack)
		p.write("password", "between-us\n")
		p.up()
		base := p.url("wordpress", "80")
		get(t, base+"/wp-admin/install.php")
		page, err := publish(t, base)
		if err != nil {
			t.Fatal(err)
		}
		if text := get(t, base+page); !strings.Contains(text, sentence) {
			t.Errorf("the page says %.2000s", text)
		}
		// The published port is another one after this, and WordPress sends readers to its old address: read it in the
		// database's own words.
		p.compose("down").OK()
		p.up()
		harvest := p.compose("exec", "-T", "db", "mariadb", "-uwordpress", "-pbetween-us", "-N", "-e", "select post_content from wp_posts where post_type = 'page' and post_status = 'publish'", "wordpress").OK()
		harvest.OutHas(sentence)
		get(t, p.url("wordpress", "80")+"/wp-login.php")
	})
}

const sentence = "Harvested at dawn by five hands."

// publish installs WordPress and tells the path of a new page.
func publish(t *testing.T, base string) (string, error) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar}
	post := func(path string, form url.Values) (string, error) {
		return fetch(t.Context(), browser, http.MethodPost, base+path, form)
	}
	body, err := post("/wp-admin/install.php?step=2", url.Values{"weblog_title": {"Stacks"}, "user_name": {"gardener"}, "admin_password": {"Rake-and-spade-7"},
		"admin_password2": {"Rake-and-spade-7"}, "pw_weak": {"on"}, "admin_email": {"gardener@example.com"}, "blog_public": {"0"}, "language": {""}})
	if err != nil {
		return "", err
	}
	if !strings.Contains(body, "WordPress has been installed") {
		return "", errors.New("the installation says: " + body)
	}
	// The first visit of the form plants the cookie that the login asks for.
	if _, err := fetch(t.Context(), browser, http.MethodGet, base+"/wp-login.php", nil); err != nil {
		return "", err
	}
	if _, err := post("/wp-login.php", url.Values{"log": {"gardener"}, "pwd": {"Rake-and-spade-7"}, "testcookie": {"1"}, "redirect_to": {base + "/wp-login.php?action=confirmation"}}); err != nil {
		return "", err
	}
	nonce, err := fetch(t.Context(), browser, http.MethodGet, base+"/wp-admin/admin-ajax.php?action=rest-nonce", nil)
	if err != nil {
		return "", err
	}
	body, err = post("/?rest_route=/wp/v2/pages&_wpnonce="+url.QueryEscape(strings.TrimSpace(nonce)), url.Values{"title": {"Harvest"}, "content": {sentence}, "status": {"publish"}})
	if err != nil {
		return "", err
	}
	id := regexp.MustCompile(`"id":(\d+)`).FindStringSubmatch(body)
	if id == nil {
		return "", errors.New("the new page is " + body)
	}
	return "/?page_id=" + id[1], nil
}
