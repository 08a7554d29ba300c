// A terminal that shows one app of arc-tui: keys and size go out, what the app draws comes in.
import { FitAddon } from "./addon-fit.mjs";
import { Terminal } from "./xterm.mjs";

const PIECE = 16384;
const LONGEST_COPY = 1 << 20;

const terminal = new Terminal({
  fontFamily: '"DejaVu Sans Mono", ui-monospace, Menlo, Consolas, monospace',
  fontSize: 14,
  scrollback: 0,
  macOptionIsMeta: true,
  // Links of an app lead to files of the server's machine, which a browser does not open.
  linkHandler: { activate() {} },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(document.getElementById("terminal"));
fit.fit();

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(`${scheme}//${location.host}/terminal${location.pathname}`);
socket.binaryType = "arraybuffer";

function tell(sentence) {
  document.getElementById("told").textContent = sentence;
  document.getElementById("again").hidden = false;
}

function send(bytes) {
  if (socket.readyState !== WebSocket.OPEN) return;
  for (let at = 0; at < bytes.length; at += PIECE) socket.send(bytes.subarray(at, at + PIECE));
}

function sendSize() {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ size: [terminal.cols, terminal.rows] }));
  }
}

let told = false;
socket.onopen = sendSize;
socket.onmessage = ({ data }) => {
  if (data instanceof ArrayBuffer) {
    terminal.write(new Uint8Array(data));
    return;
  }
  const message = JSON.parse(data);
  if ("read_only" in message) document.getElementById("read-only").hidden = !message.read_only;
  if ("told" in message) {
    told = true;
    tell(message.told);
  }
};
socket.onclose = () => {
  if (!told) tell("The connection is lost; training goes on.");
};

const encoder = new TextEncoder();
terminal.onData((keys) => send(encoder.encode(keys)));
terminal.onBinary((keys) => send(Uint8Array.from(keys, (key) => key.charCodeAt(0))));
terminal.onResize(sendSize);
new ResizeObserver(() => fit.fit()).observe(document.getElementById("terminal"));

// The key that copies (OSC 52). The clipboard is only written, and only for somebody who is at the page.
terminal.parser.registerOscHandler(52, (content) => {
  const encoded = content.slice(content.indexOf(";") + 1);
  if (encoded.length > LONGEST_COPY || encoded === "?" || !navigator.clipboard) return true;
  try {
    const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
    navigator.clipboard.writeText(new TextDecoder().decode(bytes)).catch(() => {});
  } catch {
    // no base64: nothing is copied
  }
  return true;
});

for (const link of document.querySelectorAll("nav a")) {
  if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
}
terminal.focus();
