// How the transcript page behaves. It only ever makes elements and sets text: markup is never made from text.
//
// Ten hours are 100,000 words. Paragraphs come as plain text; those near the screen have their words cut into elements
// (`open`), the others are put back (`close`). Where a time falls among the words is found by halving.
"use strict";
{
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const data = JSON.parse($("data").textContent);
  const media = $("media");
  const turns = [...document.querySelectorAll(".turn")];
  const paragraphs = turns.map((turn) => turn.querySelector(".said"));
  root.classList.add("scripted");

  function element(name, properties = {}) {
    return Object.assign(document.createElement(name), properties);
  }

  function clock(milliseconds) {
    const seconds = Math.floor(milliseconds / 1000);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }

  let silence;
  function say(text) {
    $("status").textContent = text;
    clearTimeout(silence);
    silence = setTimeout(() => ($("status").textContent = ""), 4000);
  }

  // What people chose is kept where the browser allows it; a file opened from a disk may not be allowed.
  function remembered(key) {
    try {
      return JSON.parse(localStorage.getItem(`transcript.${key}`));
    } catch {
      return null;
    }
  }

  function remember(key, value) {
    try {
      localStorage.setItem(`transcript.${key}`, JSON.stringify(value));
    } catch {
      // Then it holds until the page is closed.
    }
  }

  // --- words and their times ----------------------------------------------------------------------------------------

  const count = data.lengths.length;
  const starts = new Int32Array(count);
  const ends = new Int32Array(count);
  let end = 0;
  for (let word = 0; word < count; word++) {
    starts[word] = end + data.gaps[word];
    ends[word] = end = starts[word] + data.lasts[word];
  }
  // Where people talk at once, words in order of the text are not quite in order of time.
  const byStart = Uint32Array.from(starts.keys()).sort((a, b) => starts[a] - starts[b] || a - b);

  const firstWords = new Int32Array(turns.length + 1);
  data.turns.forEach((words, turn) => (firstWords[turn + 1] = firstWords[turn] + words));

  // The last position in 0..length-1 whose key is not greater than `limit`; -1: none.
  function lastNotAfter(length, key, limit) {
    let low = 0;
    let high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (key(middle) <= limit) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  function wordAt(milliseconds) {
    const position = lastNotAfter(count, (i) => starts[byStart[i]], milliseconds);
    return position < 0 ? -1 : byStart[position];
  }

  const turnOf = (word) => lastNotAfter(turns.length, (turn) => firstWords[turn], word);

  // --- paragraphs near the screen have words ------------------------------------------------------------------------

  const opened = new Map(); // turn -> {plain: its nodes as they came, words: the elements of its words, in order}

  function open(turn) {
    if (opened.has(turn)) return opened.get(turn).words;
    const paragraph = paragraphs[turn];
    const plain = [...paragraph.childNodes];
    const words = [];
    let word = firstWords[turn];
    const cut = (text, into) => {
      let at = 0;
      while (at < text.length) {
        // Words are never empty and never begin with a space: a space here stands between two of them.
        if (text[at] === " ") {
          into.append(" ");
          at += 1;
          continue;
        }
        const span = element("span", {
          className: `w c${data.certainty[word]}`,
          textContent: text.slice(at, at + data.lengths[word]),
        });
        into.append(span);
        words.push(span);
        at += data.lengths[word++];
      }
    };
    const fragment = document.createDocumentFragment();
    for (const node of plain) {
      const into = node.nodeType === Node.TEXT_NODE ? fragment : node.cloneNode(false);
      cut(node.textContent, into);
      if (into !== fragment) fragment.append(into);
    }
    paragraph.replaceChildren(fragment);
    turns[turn].append(copyButton());
    opened.set(turn, { plain, words });
    return words;
  }

  function close(turn) {
    if (!opened.has(turn) || near.has(turn) || turn === current.turn || isInUse(turn)) return;
    paragraphs[turn].replaceChildren(...opened.get(turn).plain);
    turns[turn].querySelector(".copy").remove();
    opened.delete(turn);
  }

  function isInUse(turn) {
    const selection = getSelection();
    const isSelected = !selection.isCollapsed && selection.containsNode(turns[turn], true);
    return isSelected || turns[turn].contains(document.activeElement);
  }

  function wordOf(target) {
    const span = target.closest(".w");
    if (!span) return -1;
    const turn = turnNumbers.get(span.closest(".turn"));
    return firstWords[turn] + opened.get(turn).words.indexOf(span);
  }

  const turnNumbers = new Map(turns.map((turn, number) => [turn, number]));
  const near = new Set();
  const surroundings = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const turn = turnNumbers.get(entry.target);
        if (entry.isIntersecting) {
          near.add(turn);
          open(turn);
        } else {
          near.delete(turn);
          close(turn);
        }
      }
      markHits();
    },
    { rootMargin: "50% 0px" },
  );

  // --- where we are -------------------------------------------------------------------------------------------------

  const current = { word: -1, turn: -1, lit: null };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let following = true;

  // Whole milliseconds: where a word begins must not become a fraction before it.
  const position = () => Math.round(media.currentTime * 1000);

  // Shows a time everywhere: clock, timeline, word. Reads the layout before it writes.
  function show(milliseconds) {
    const now = clock(milliseconds);
    if ($("now").textContent !== now) {
      $("now").textContent = now;
      $("seek").setAttribute("aria-valuetext", `${now} of ${$("length").textContent}`);
    }
    $("seek").value = milliseconds;
    $("playhead").style.transform = `translateX(${(100 * milliseconds) / Math.max(data.milliseconds, 1)}%)`;
    showWord(wordAt(milliseconds), milliseconds);
    showChapter(milliseconds);
  }

  const LINGER = 500; // Milliseconds for which a word stays lit after its end: between words nothing should flicker.

  function showWord(word, milliseconds) {
    const speaking = word >= 0 && milliseconds < ends[word] + LINGER;
    if (word !== current.word) {
      current.word = word;
      const before = current.turn;
      current.turn = word < 0 ? -1 : turnOf(word);
      if (current.turn !== before) {
        turns[before]?.classList.remove("now");
        turns[current.turn]?.classList.add("now");
        close(before);
      }
    }
    const lit = speaking ? open(current.turn)[word - firstWords[current.turn]] : null;
    if (lit === current.lit) return;
    current.lit?.classList.remove("lit");
    lit?.classList.add("lit");
    current.lit = lit;
    if (lit && !media.paused) follow();
  }

  const place = () => current.lit ?? turns[current.turn] ?? turns[0];

  function follow() {
    const visible = isInView(place());
    if (following && !visible) bringIntoView(place());
    $("follow").hidden = following || visible;
  }

  const header = document.querySelector(".top");
  const player = document.querySelector(".player");
  function isInView(item) {
    const box = item.getBoundingClientRect();
    return box.top > header.getBoundingClientRect().bottom && box.bottom < player.getBoundingClientRect().top;
  }

  // Heights of paragraphs not drawn yet are estimates, so a long way is done in two steps.
  function bringIntoView(item) {
    const far = Math.abs(item.getBoundingClientRect().top) > 3 * innerHeight;
    const centre = (behavior) => item.scrollIntoView({ block: "center", behavior });
    centre(calm.matches || far ? "instant" : "smooth");
    if (far) requestAnimationFrame(() => centre("instant"));
  }

  // The reader leads: whoever scrolls is not pulled back until they ask for it, or go to a place themselves.
  function letGo() {
    following = false;
  }
  addEventListener("wheel", letGo, { passive: true });
  addEventListener("touchmove", letGo, { passive: true });

  function keepShowing() {
    show(position());
    if (!media.paused) requestAnimationFrame(keepShowing);
  }

  function toggle() {
    if (media.paused) media.play().catch(() => say("The recording cannot be played here."));
    else media.pause();
  }

  function seek(milliseconds) {
    const to = Math.min(Math.max(milliseconds, 0), data.milliseconds);
    media.currentTime = to / 1000;
    following = true;
    show(to);
  }

  function goTo(milliseconds) {
    seek(milliseconds);
    if (turns.length && !isInView(place())) bringIntoView(place());
  }

  function nextWord(step) {
    const at = lastNotAfter(count, (i) => starts[byStart[i]], position());
    goTo(starts[byStart[Math.min(Math.max(at + step, 0), count - 1)]] ?? 0);
  }

  function nextTurn(step) {
    let turn = Math.max(current.turn, 0) + step;
    while (turns[turn]?.hidden) turn += step;
    if (turns[turn]) goTo(starts[firstWords[turn]]);
  }

  function changeSpeed(step) {
    const speed = $("speed");
    speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + step, 0), speed.length - 1);
    media.playbackRate = Number(speed.value);
    say(`Speed ${speed.value}×`);
  }

  media.addEventListener("play", () => {
    root.classList.add("playing");
    $("play").setAttribute("aria-label", "Pause");
    requestAnimationFrame(keepShowing);
  });
  media.addEventListener("pause", () => {
    root.classList.remove("playing");
    $("play").setAttribute("aria-label", "Play");
  });
  media.addEventListener("seeked", () => show(position()));
  media.addEventListener("error", () => say("The recording cannot be played here."));

  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => seek(position() - 10_000));
  $("forward").addEventListener("click", () => seek(position() + 10_000));
  $("speed").addEventListener("change", () => changeSpeed(0));
  $("seek").addEventListener("input", () => goTo(Number($("seek").value)));
  $("follow").addEventListener("click", () => {
    following = true;
    follow();
  });
  $("transcript").addEventListener("click", (event) => {
    const word = wordOf(event.target);
    // A click that ends a selection is no wish to go there.
    if (word >= 0 && getSelection().isCollapsed) seek(starts[word]);
  });

  // --- addresses and chapters ---------------------------------------------------------------------------------------

  function linkTo(milliseconds) {
    const address = new URL(location.href);
    address.hash = `t=${(milliseconds / 1000).toFixed(1)}`;
    return address.href;
  }

  function followAddress() {
    const seconds = /^#t=(\d{1,7}(?:\.\d{1,6})?)$/.exec(location.hash)?.[1];
    if (seconds) goTo(Number(seconds) * 1000);
  }
  addEventListener("hashchange", followAddress);
  // The same link twice changes no address.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a")?.hash === location.hash) followAddress();
  });

  const chapters = [...document.querySelectorAll(".chapters a")];
  const chapterStarts = chapters.map((link) => Number(link.hash.slice(3)) * 1000);
  function showChapter(milliseconds) {
    const now = chapters[lastNotAfter(chapters.length, (i) => chapterStarts[i], milliseconds + 50)];
    const before = chapters.find((link) => link.ariaCurrent);
    if (now === before) return;
    before?.removeAttribute("aria-current");
    now?.setAttribute("aria-current", "true");
  }

  // --- copying ------------------------------------------------------------------------------------------------------

  async function copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      say(done);
    } catch {
      say("This browser does not let the page copy.");
    }
  }

  function icon(path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  }

  function copyButton() {
    const button = element("button", { type: "button", className: "copy", title: "Copy with time" });
    button.ariaLabel = button.title;
    button.append(icon("M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z"));
    return button;
  }

  function copyTurn(turn) {
    const name = turns[turn].querySelector(".name")?.textContent;
    const time = clock(starts[firstWords[turn]]);
    copy(`[${time}] ${name ? `${name}: ` : ""}${paragraphs[turn].textContent}`, "Paragraph copied with its time.");
  }

  function copyLink() {
    const address = linkTo(position());
    history.replaceState(null, "", address);
    copy(address, "Link to this moment copied.");
  }

  $("link").addEventListener("click", copyLink);
  $("transcript").addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (button) copyTurn(turnNumbers.get(button.closest(".turn")));
  });

  // --- speakers: filter and names -----------------------------------------------------------------------------------

  const rows = [...document.querySelectorAll(".speakers li")];
  const lanes = document.querySelectorAll(".timeline path");
  const namesKey = `names.${data.transcript_id}`;
  const given = new Map(); // label -> the name that was given on this page

  function filter() {
    const shown = rows.map((row) => row.querySelector("input").checked);
    // Speech of unknown speakers goes away with the first speaker who is hidden.
    const all = shown.every(Boolean);
    for (const turn of turns) turn.hidden = "lane" in turn.dataset ? !shown[turn.dataset.lane] : !all;
    lanes.forEach((path, lane) => path.classList.toggle("off", !shown[lane]));
    $("nobody").hidden = !turns.length || turns.some((turn) => !turn.hidden);
    search();
  }

  function nameSpeaker(lane, name) {
    const { label, name: original } = data.speakers[lane];
    if (name === original) given.delete(label);
    else given.set(label, name);
    for (const shown of document.querySelectorAll(`[data-lane="${lane}"] .name`)) shown.textContent = name;
    rows[lane].querySelector("input").ariaLabel = `Show ${name}`;
    rows[lane].querySelector(".rename").ariaLabel = `Rename ${name}`;
    $("download").hidden = !given.size;
  }

  function askForName(lane) {
    const row = rows[lane];
    const shown = row.querySelector(".name");
    const field = element("input", { type: "text", value: shown.textContent, maxLength: 80 });
    field.ariaLabel = `New name of ${shown.textContent}`;
    shown.hidden = true;
    shown.after(field);
    field.select();
    let done = false;
    const finish = (keep) => {
      if (done) return;
      done = true;
      const name = field.value.replace(/\s+/g, " ").trim();
      field.remove();
      shown.hidden = false;
      if (keep && name && name !== shown.textContent) {
        nameSpeaker(lane, name);
        remember(namesKey, Object.fromEntries(given));
        say(`Now called ${name}.`);
      }
    };
    field.addEventListener("blur", () => finish(true));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      finish(event.key === "Enter");
      row.querySelector(".rename").focus();
    });
  }

  function downloadNames() {
    const { partition_key, transcript_id } = data;
    const text = JSON.stringify({ partition_key, transcript_id, names: Object.fromEntries(given) }, null, 1);
    const file = new Blob([`${text}\n`], { type: "application/json" });
    const link = element("a", { href: URL.createObjectURL(file), download: `${partition_key}-names.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  rows.forEach((row, lane) => {
    row.querySelector("input").addEventListener("change", filter);
    row.querySelector(".rename").addEventListener("click", () => askForName(lane));
  });
  $("download").addEventListener("click", downloadNames);

  // --- search -------------------------------------------------------------------------------------------------------

  const combining = /[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]/g;
  const folded = []; // turn -> {text: as it is compared, at: position in it -> position in the paragraph, or null}
  let hits = []; // {turn, from, to} in order
  let hit = -1;
  let typing = 0; // the timer that waits for the next letter

  // Case, accents and vowel points do not matter: 'zoe' finds 'Zoë'. Only then may lengths differ.
  function fold(text) {
    if (/^[ -~]*$/.test(text)) return { text: text.toLowerCase(), at: null };
    let made = "";
    const at = [];
    for (let i = 0; i < text.length; ) {
      const character = String.fromCodePoint(text.codePointAt(i));
      const plain = character.normalize("NFD").replace(combining, "").toLowerCase();
      for (let k = 0; k < plain.length; k++) at.push(i);
      made += plain;
      i += character.length;
    }
    at.push(text.length);
    return { text: made, at };
  }

  function search() {
    clearTimeout(typing);
    typing = 0;
    const wanted = fold($("query").value).text.replace(/\s+/g, " ").trim();
    hits = [];
    hit = -1;
    if (wanted) {
      turns.forEach((element, turn) => {
        if (element.hidden) return;
        const { text, at } = (folded[turn] ??= fold(paragraphs[turn].textContent));
        for (let i = text.indexOf(wanted); i >= 0; i = text.indexOf(wanted, i + wanted.length)) {
          const to = i + wanted.length;
          hits.push({ turn, from: at ? at[i] : i, to: at ? at[to] : to });
        }
      });
    }
    $("found").textContent = wanted ? (hits.length ? `${hits.length} found` : "not found") : "";
    $("previous").disabled = $("next").disabled = !hits.length;
    markHits();
  }

  function nextHit(step) {
    if (!hits.length) return;
    if (hit < 0) {
      // The first one is looked for from what is being read.
      const from = firstVisibleTurn();
      hit = Math.max(hits.findIndex(({ turn }) => turn >= from), 0);
      if (step < 0) hit = (hit + hits.length - 1) % hits.length;
    } else hit = (hit + step + hits.length) % hits.length;
    $("found").textContent = `${hit + 1} of ${hits.length}`;
    letGo();
    open(hits[hit].turn);
    markHits();
    const found = rangeOf(hits[hit]).startContainer.parentElement;
    if (!isInView(found)) bringIntoView(found);
  }

  function firstVisibleTurn() {
    const visible = turns.findIndex(
      (turn) => !turn.hidden && turn.getBoundingClientRect().bottom > header.getBoundingClientRect().bottom,
    );
    return Math.max(visible, 0);
  }

  function rangeOf({ turn, from, to }) {
    const range = document.createRange();
    const walker = document.createTreeWalker(paragraphs[turn], NodeFilter.SHOW_TEXT);
    let at = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const next = at + node.data.length;
      if (from >= at && from < next) range.setStart(node, from - at);
      if (to > at && to <= next) {
        range.setEnd(node, to - at);
        break;
      }
      at = next;
    }
    return range;
  }

  // Marks are laid over the text without touching it, where the browser can (Custom Highlight API, all since 2025),
  // and only over what is near the screen.
  function markHits() {
    if (!CSS.highlights) return;
    const first = (turn) => lastNotAfter(hits.length, (i) => hits[i].turn, turn - 1) + 1;
    const ranges = [...opened.keys()].flatMap((turn) => hits.slice(first(turn), first(turn + 1)).map(rangeOf));
    CSS.highlights.set("hit", new Highlight(...ranges));
    const now = new Highlight(...(hits[hit] ? [rangeOf(hits[hit])] : []));
    now.priority = 1;
    CSS.highlights.set("hit-now", now);
  }

  $("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, 120);
  });
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      if (typing) search(); // faster than the pause after which it searches by itself
      nextHit(event.shiftKey ? -1 : 1);
    }
    if (event.key === "Escape") {
      $("query").value = "";
      search();
      $("query").blur();
    }
  });
  $("previous").addEventListener("click", () => nextHit(-1));
  $("next").addEventListener("click", () => nextHit(1));

  // --- switches -----------------------------------------------------------------------------------------------------

  function pressable(button, pressed, onChange) {
    const set = (on) => {
      button.setAttribute("aria-pressed", String(on));
      onChange(on);
    };
    button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
    set(pressed);
    return set;
  }

  pressable($("shading"), false, (on) => root.classList.toggle("shaded", on));
  pressable($("translation"), false, (on) => root.classList.toggle("translated", on));

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = remembered("dark");
  const setDark = pressable($("dark"), chosen ?? prefersDark.matches, (on) => {
    root.classList.toggle("dark", on);
    root.classList.toggle("light", !on);
    if (on !== (remembered("dark") ?? prefersDark.matches)) remember("dark", on);
  });
  prefersDark.addEventListener("change", () => setDark(remembered("dark") ?? prefersDark.matches));

  // --- keyboard -----------------------------------------------------------------------------------------------------

  const KEYS = {
    " ": toggle,
    k: toggle,
    j: () => seek(position() - 10_000),
    l: () => seek(position() + 10_000),
    ArrowLeft: (event) => (event.shiftKey ? nextWord(-1) : goTo(position() - 5_000)),
    ArrowRight: (event) => (event.shiftKey ? nextWord(1) : goTo(position() + 5_000)),
    ArrowUp: () => nextTurn(-1),
    ArrowDown: () => nextTurn(1),
    "<": () => changeSpeed(-1),
    ">": () => changeSpeed(1),
    "/": () => $("query").select(),
    c: () => current.turn >= 0 && copyTurn(current.turn),
    s: copyLink,
    "?": () => $("keys").showModal(),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("keys").open) return;
    if (!$("shortcuts").checked) return;
    // Fields, buttons and a video's own controls have keys of their own. On the timeline ours go farther than a step.
    if (event.target.closest("input:not([type=checkbox], [type=range]), select, video")) return;
    if (event.key === " " && event.target.closest("button, input[type=checkbox], summary, a")) return;
    const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });

  $("help").addEventListener("click", () => $("keys").showModal());
  $("close").addEventListener("click", () => $("keys").close());
  // Keys that are single characters can be turned off (WCAG 2.1.4): speech input types them by accident.
  $("shortcuts").checked = remembered("shortcuts") ?? true;
  $("shortcuts").addEventListener("change", () => remember("shortcuts", $("shortcuts").checked));

  // --- beginning ----------------------------------------------------------------------------------------------------

  const names = remembered(namesKey) ?? {};
  data.speakers.forEach(({ label }, lane) => {
    if (typeof names[label] === "string") nameSpeaker(lane, names[label]);
  });
  if (innerWidth < 896) document.querySelectorAll(".panel").forEach((panel) => (panel.open = false));
  turns.forEach((turn) => surroundings.observe(turn));
  show(0);
  followAddress();
}
