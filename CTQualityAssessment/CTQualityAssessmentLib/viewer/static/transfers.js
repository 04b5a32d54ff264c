// Files to the viewer, by dialog or dropped, and results from it.
(() => {
  // Files of what was dropped; a folder with all that lies in it.
  async function dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter((entry) => entry);
    if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
    return (await Promise.all(entries.map(filesOf))).flat();
  }
  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    const reader = entry.createReader(), found = [];
    for (;;) {  // a reader tells a hundred entries at a time
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      found.push(...some);
    }
    return (await Promise.all(found.map(filesOf))).flat();
  }
  window.ctqaTransfers = {
    data: () => ({ refused: null, sending: null }),
    mounted() {
      window.addEventListener("dragover", this.drag);
      window.addEventListener("drop", this.drop);
    },
    unmounted() {
      window.removeEventListener("dragover", this.drag);
      window.removeEventListener("drop", this.drop);
    },
    methods: {
      drag(event) { event.preventDefault(); },
      async drop(event) {
        event.preventDefault();
        if (!this.$refs.open.open) this.second = false;
        let files;
        try { files = await dropped(event.dataTransfer); } catch {
          this.refused = { problem: "The dropped files cannot be read.", advice: "Choose them with Open instead." };
          return;
        }
        this.upload(files);
      },
      async upload(files) {
        if (this.busy || this.sending !== null) {
          this.refused = { problem: "The viewer is busy with another task.", advice: "Wait for its end, or cancel it." };
          return;
        }
        this.$refs.open.open && this.$refs.open.close();
        if (!files.length) {
          this.refused = { problem: "No file is in what was chosen.", advice: "Choose a folder with DICOM files, files, or a zip." };
          return;
        }
        this.refused = null;
        this.sending = 0;
        const form = new FormData();
        files.forEach((file) => form.append("file", file, file.name));
        // XMLHttpRequest tells how much was sent; fetch does not.
        const answer = await new Promise((resolve) => {
          const request = new XMLHttpRequest();
          request.open("POST", this.second ? "/upload?compare=1" : "/upload");
          request.upload.onprogress = (e) => { if (e.lengthComputable) this.sending = Math.round((100 * e.loaded) / e.total); };
          request.onload = () => resolve(request);
          request.onerror = () => resolve(request);
          request.send(form);
        });
        this.sending = null;
        if (answer.status === 200) return;
        try { this.refused = JSON.parse(answer.responseText); } catch { this.refused = null; }
        if (!this.refused || !this.refused.problem)
          this.refused = { problem: "The files could not be sent.", advice: "Perhaps they are larger than the limit; start the viewer with their path instead." };
      },
      async save(name) {
        this.refused = null;
        this.sending = name;
        try {
          const answer = await fetch("/download/" + name);
          if (!answer.ok) throw new Error(name);
          const link = document.createElement("a");
          link.href = URL.createObjectURL(await answer.blob());
          link.download = name;
          link.click();
          setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        } catch {
          if (!this.error) this.refused = { problem: "The file could not be saved.", advice: "Look whether the program still runs, and try again." };
        }
        this.sending = null;
      },
    },
  };
})();
