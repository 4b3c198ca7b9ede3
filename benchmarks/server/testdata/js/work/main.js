// The works that keep no state, as a wasi:http component that Sett and others run.
import { answer } from './works.mjs';

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const digest = async (bytes) => hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));

addEventListener('fetch', (event) => event.respondWith(answer(event.request, { digest })));
